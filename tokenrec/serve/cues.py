"""The English words that tell of a limit, those that only look like it, and those that may stand between."""

import re

from tokenrec.gates.text import listed

NOT = listed("no not never nothing none without neither nor nobody zero 0 sans sin ohne senza sem zonder")
BARE = listed("no without zero 0 sans sin ohne senza sem zonder")  # what stands right behind these is not wanted
OUT = re.compile(  # put aside: what stands behind is a limit
    r"(?:avoid(?:s|ing)?|skip(?:s|ping)?|omit(?:s|ting)?|exclud(?:e|es|ing)|except(?:ing)?|minus|ditch(?:ing)?|"
    r"refus(?:e|es)|ha(?:te|tes|ting)|despis(?:e|es)|detests?|dislik(?:e|es)|loath(?:e|es)|abhors?|hold the|"
    r"leav(?:e|ing) (?:out|off)|cut(?:ting)? (?:out|down on|back on)|(?:drop|forget|lose) the|forget about|"
    r"swap(?:ping)? out|(?:other|rather) than|(?:apart|aside|away) from|instead of|free (?:of|from)|clear of|"
    r"(?:anything|everything|all|any \w+|every \w+) but|g(?:a|i|iv)ve? up|giving up|quit|(?:sick|tired|bored) of|"
    r"stop(?:ped|ping)?(?= (?:eating|having))|(?:am|are|is|keeps?|goes|\w+'(?:m|s|re)) off|done with)\b"
)  # fmt: skip
SICK = re.compile(  # illness: what stands behind, or before, is a limit
    r"allerg(?:y|ic|ies|ens?)|intoleran(?:t|ce|ces)|anaphyla(?:ctic|xis)|sensitivit(?:y|ies)|sensitive|reacts?|"
    r"restrictions?"
)  # fmt: skip
_END = r"(?= ?[,.;!?]| ?$"
AFTER = re.compile(  # behind a thing: it is a limit
    r"(?:free(?! (?:of|from|range))|allerg(?:y|ic|ies)(?! to)|intoleran(?:t|ces?)(?! (?:to|of))|"
    r"sensitivit(?:y|ies)(?! to)|less(?! than| \w+y\b| sweet| rich| hot| sour)|"
    r"(?:(?:is|are) )?(?:strictly |totally |completely )?(?:out(?! of)|off(?= |$)(?! the (?:bone|hob|heat|grill))|"
    rf"forbidden|banned|taboo)|(?:is|are) (?:a )?(?:no|not)(?: go| no| way| ok| okay| allowed| good)*{_END}| for)|"
    rf"(?:[?:] )?(?:no|none|never)(?: thanks?| thank you| way| go| please)?{_END}))(?!\w)"
)  # fmt: skip
ALARM = re.compile(  # illness and bans: never passed over. Nobody wishes for gluten
    r"\w*allerg\w*|\w*intoleran\w*|anaphyla\w*|epi ?pens?|hives|rash(?:es)?|kills?|killed|poison(?:s|ed|ous)?|upsets?|"
    r"bloats?|swells?|vomit\w*|cramps|migraines?|diarrh\w*|nausea\w*|forbidden|prohibited|banned|taboo|religio\w*|"
    r"doctors?|restrictions?|gluten|lactose|ma(?:ke|kes|de) (?:me|him|her|us|them) (?:sick|ill|itch)|"
    r"(?:badly|react(?:s|ion)?) to"
)  # fmt: skip
MADE = listed("""
    raw fresh cooked fried smoked minced ground dried canned tinned pickled roasted grilled processed cured farmed fatty
    oily deep
""")  # of a thing: "no raw fish" is no fish
FILL = MADE | listed("""
    a an any another the my your our of all to at it its in that this which has have having be been is are was made from
    as for me us him her them we i you can could would should will do does did please really even ever also kind kinds
    type types sort sorts form forms like likes want wants wanting need needs eat eats eating drink drinks put add added
    adding use using include includes including contain contains containing with take tolerate handle stand stomach
    digest touch have get gets cook make makes serve give buy allowed able supposed rather prefer go keen fond fan into
    on big huge good well great crazy happy comfortable more extra some certain most other particular special known
    dietary food foods stuff anything severe severely bad badly serious strong life threatening mild tree whole : ( -
""")  # between a word that tells of a limit and the thing
ASKING = listed("""
    food foods like dish dishes something anything make making made meal recipe idea ideas give show find look looking
    suggest recommend tonight please thing things would could can i we me my our
""")  # of any request: they tell nothing of an item
LIKING = listed("keen fond fan into big huge good well great crazy happy comfortable")  # "not too keen on" is a limit
SOFT = listed("too so very overly super as just only always necessarily quite")  # "not too spicy" is a wish
EASE = listed("""
    mind problem problems issue issues enough matter matters care know sure wait wrong resist beat beats better help
    tried find decide spend idea time fuss bake cook knead churn hurry rush worries stress nonsense frills longer limit
    limits preference preferences one bother believe appetite
""")  # "no fuss", "I don't mind": nothing is denied
EATS = listed("""
    eat eats eating have having drink drinks put add use using include contain contains containing like likes with
    tolerate
""")  # of what is behind these and unknown, no fact tells
WANTS = listed("looking craving love please")
SKIPPED = listed("a an any the my of all severe bad and or some") | MADE
AUX = listed("do does did is are can could will would should must")
JOINTS = listed(", or nor and plus")
STOPS = listed(". ; ! ? but though however although")
PROMISES = listed("diabetic diabetics diabetes keto organic paleo fodmap jain gout breastfeeding whole30")
DISHES = listed("pasta noodle bread")  # "no dairy, noodles" wants noodles
ALONE = listed("coeliac celiac coeliacs celiacs")  # say it all by themselves, as diets do
DENIED_HAN = re.compile("[不无無没沒别別忌戒免]|过敏|過敏|耐受")  # left in a request that a dictionary turned
