"""What is a kind of what, and what people of a country are called. Data, not logic: extend freely."""

from collections.abc import Iterable

from ..text import listed, stem, words

# A word for a class of food: its members, by their last word. "A seafood soup" follows from oysters.
_MEMBERS = {
    "cheese": "cheddar feta parmesan mozzarella ricotta gruyere brie camembert gouda halloumi pecorino mascarpone "
    "paneer gorgonzola roquefort stilton emmental provolone quark queso",
    "dairy": "cheese milk butter cream yogurt yoghurt ghee buttermilk creme curd kefir",
    "seafood": "fish shellfish oyster clam mussel scallop shrimp prawn crab lobster squid octopus crayfish",
    "fish": "cod haddock salmon tuna trout mackerel sardine anchovy herring bass halibut snapper sole tilapia eel carp "
    "sturgeon bream perch pike catfish monkfish",
    "meat": "beef pork lamb veal chicken turkey duck goose bacon ham sausage mutton venison rabbit chorizo pancetta "
    "prosciutto salami liver oxtail brisket mince steak shin",
    "nut": "almond walnut cashew pistachio hazelnut pecan peanut macadamia",
    "gluten": "flour wheat bread breadcrumb pasta spaghetti noodle barley rye couscous bulgur semolina macaroni",
    "egg": "egg yolk",
}
_LIKE = listed(  # coconut milk is no dairy, rice flour has no gluten, a vegan sausage is no meat
    "coconut oat soy soya almond rice cashew peanut nut cocoa shea hemp vegan plant corn chickpea gram potato tapioca "
    "buckwheat cassava gluten free apple bean sesame"
)
_INSIDE = {"cheese": ("dairy",), "fish": ("seafood",)}  # a kind of cheese is a kind of dairy

CLASSES: dict[str, frozenset[str]] = {name: frozenset(map(stem, found.split())) for name, found in _MEMBERS.items()}
for _name, _above in _INSIDE.items():
    for _other in _above:
        CLASSES[_other] |= CLASSES[_name]
_ALL = frozenset().union(*CLASSES.values())

_PEOPLES = """American:United States,USA,America Argentine,Argentinian:Argentina Australian:Australia Austrian:Austria
Belgian:Belgium Brazilian:Brazil British,English,Scottish,Welsh:United Kingdom,UK,Britain,England,Scotland,Wales
Canadian:Canada Chilean:Chile Chinese:China Colombian:Colombia Croatian:Croatia Cuban:Cuba Czech:Czechia,Czech Republic
Danish:Denmark Dutch:Netherlands,Holland Egyptian:Egypt Ethiopian:Ethiopia Finnish:Finland French:France German:Germany
Greek:Greece Hungarian:Hungary Icelandic:Iceland Indian:India Indonesian:Indonesia Iranian,Persian:Iran Iraqi:Iraq
Irish:Ireland Israeli:Israel Italian:Italy Jamaican:Jamaica Japanese:Japan Kenyan:Kenya Korean:Korea,South Korea
Lebanese:Lebanon Malaysian:Malaysia Malian:Mali Mexican:Mexico Moroccan:Morocco Nigerian:Nigeria Norwegian:Norway
Pakistani:Pakistan Peruvian:Peru Filipino:Philippines Polish:Poland Portuguese:Portugal Romanian:Romania Russian:Russia
Senegalese:Senegal Serbian:Serbia Singaporean:Singapore Spanish:Spain Swedish:Sweden Swiss:Switzerland Syrian:Syria
Taiwanese:Taiwan Thai:Thailand Tunisian:Tunisia Turkish:Turkey,Türkiye Ukrainian:Ukraine Vietnamese:Vietnam"""
_WHOLE = {"united": "united", "south": "south", "czech": "czech"}  # words that name no country by themselves


def _peoples() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    entries = _PEOPLES.replace("\n", " ").split(":")
    # "A,B:C,D E:F": the last word of each part begins the next entry
    for left, right in zip(entries, entries[1:], strict=False):
        names = left.split(" ")[-1].split(",")
        last = right is entries[-1]
        places = right if last else right.rsplit(" ", 1)[0]
        own = frozenset(stem(w) for place in places.split(",") for w in words(place) if w not in _WHOLE)
        own |= {"kingdom"} if "Kingdom" in places else {"state"} if "States" in places else set()
        for name in names:
            found[stem(name.lower())] = own
    for name, places in list(found.items()):  # and back: "from France" follows from "french"
        for place in places:
            found[place] = found.get(place, frozenset()) | {name}
    return found


PEOPLES = _peoples()  # stem -> stems that say the same


def held(entries: Iterable[str]) -> set[str]:
    """The classes that some entry of a record's lists belongs to."""
    found = set()
    for entry in entries:
        own = [stem(w) for w in words(entry)]
        if _LIKE & set(own[:-1]):
            continue
        found |= {name for name, members in CLASSES.items() if members & set(own) or name in own}
    return found


def is_food(entries: Iterable[str]) -> bool:
    """Whether a record lists food at all, so that classes of food mean something there."""
    return any(stem(w) in _ALL for entry in entries for w in words(entry))
