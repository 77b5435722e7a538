"""Refusals and apologies: the writer talks about itself or about missing input instead of the subject."""

# ruff: noqa: E501 (a pattern is read best in one piece)
import re

from ..base import Finding
from ..text import clip

GATE = "noise/refusal"

_DO = (
    r"(?:generate|create|provide|write|produce|describe|determine|answer|help (?:you|with)|assist|complete|give you|offer"
    r"|summari[sz]e|fulfil+|comply|access|find (?:any|a|the)|identify|do that|recommend|translate|tell you)"
)
_INPUT = (
    r"(?:title|name|text|passage|input|item|record|ingredients?|information|details?|context|description|data|list"
    r"|prompt|request|question|document|article|content)"
)
_START = r"(?:^|(?<=[.!?\n\"“])\s*)"
_CANNOT = (
    r"(?:unable to|not able to|cannot|can\s?not|can['’]?t|could not|couldn['’]t|won['’]t|will not|"
    r"am not able to|was not able to)"
)

# (words one of which must occur, patterns): looking for a word is a hundred times cheaper than a pattern.
_PATTERNS: list[tuple[str, list[str]]] = [
    (  # the writer cannot
        "unable|not able|cannot|can not|cant|can't|can’t|could not|couldn't|couldn’t|won't|won’t|will not|possible",
        [
            rf"\b(?:i|we)(?:\s+am|['’]m|\s+are|['’]re|\s+was|\s+were)?\s+(?:(?:\w+ly)\s+)?{_CANNOT}\s+(?:\w+ly\s+)?{_DO}\b",
            rf"{_START}(?:it is |it's )?(?:unable|not possible|impossible) to {_DO}\b",
        ],
    ),
    (  # the writer would have to be told more, or would rather not
        "for me to|for us to|i need|we need|i would|we would|i'd|i’d|something i|something that i|prefer not",
        [
            rf"\bfor (?:me|us) to {_DO}\b",
            rf"\b(?:i|we)(?:['’]d| would)? (?:\w+ )?(?:need|require) (?:\w+ ){{1,5}}to (?:\w+ly )?{_DO}\b",
            r"\b(?:i|we)(?:['’]d| would) rather not\b|\b(?:i|we) prefer not to\b",
            r"\bnot something (?:that )?(?:i|we)(?:['’]m| am| are|['’]re| can| could)\b",
        ],
    ),
    (  # the writer on itself
        "have access|have no |enough|sufficient|information|ability|details|language model|assistant|chatbot| ai|ai ",
        [
            (
                r"\b(?:i|we) (?:do not|don['’]t) have (?:any |the |enough |sufficient )?(?:\w+ )?"
                r"(?:access|information|ability|details)\b"
            ),
            r"\b(?:i|we) have no (?:\w+ )?(?:knowledge|information|opinion|data|details|preference|record)s?\b",
            r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|ai assistant)\b",
            r"\bas an? (?:\w+ )?(?:assistant|chatbot|model),? (?:i|we)(?:['’]m| am| are| do| don['’]t| have| can| cannot| would)\b",
            r"\bi(?:['’]m| am) (?:just |only )?an? (?:ai|language model|ai assistant)\b",
        ],
    ),
    (  # apologies
        "sorry|apolog",
        [
            r"\b(?:i|we)(?:['’]m| am| are|['’]re)? (?:very |truly |so )?sorry\b[,.!]?\s+(?:but|i|we|for the|that|about|to (?:say|tell|inform|report|disappoint))\b",
            rf"{_START}(?:sorry|(?:my )?apologies|(?:i|we) apologi[sz]e)\b,?\s*(?:but|i|we|this|that|there|the|it|no|for (?:the|any) (?:inconvenience|confusion|delay))\b",
        ],
    ),
    (  # asks back
        "please|could you|let me know|help you|can i |may i |assist",
        [
            (
                r"\bplease (?:provide|specify|supply|share|enter|give|send|clarify)\s+(?:me |us )?(?:with )?"
                rf"(?:an?|the|more|your|some|any|further|additional|valid|which)\b.{{0,40}}\b{_INPUT}"
            ),
            r"\bcould you (?:please )?(?:provide|clarify|specify|tell me|share|give me)\b",
            r"\blet me know (?:if|what|which|how) (?:you|i)\b|\bhow (?:can|may) i (?:help|assist)\b",
        ],
    ),
    (  # complains about its input
        (
            "insufficient|not enough|lack of|too little|no |valid|given|provided|supplied|requested|recogni|gibberish|available"
            "|does not|doesn't|doesn’t"
        ),
        [
            (
                rf"\b(?:insufficient|not enough|lack of|too little|no) (?:\w+ )?{_INPUT}\b(?: \w+)?"
                rf"(?: (?:is|was|were|are|has been|have been))? (?:provided|given|supplied|available|specified|to {_DO})"
            ),
            rf"\bthere (?:is|was|are|were) (?:no|not enough|insufficient) (?:\w+ )?{_INPUT}s?\b(?! (?:of|for|about) )",
            (
                rf"{_START}(?:unfortunately,?\s+)?(?:the|this|your) (?:\w+ )?(?:provided|given|supplied|requested)\b.{{0,40}}?"
                r"\b(?:does not|doesn['’]t|is not|isn['’]t|cannot|can['’]t|contains? (?:invalid|random|unreadable)"
                r"|appears? to be|is (?:invalid|incomplete|unclear|gibberish))"
            ),
            (
                rf"{_START}(?:the|this) (?:\w+ ){{0,3}}?(?:does not|doesn['’]t|do not) (?:have|contain|include|provide) "
                rf"(?:an?|any|the|enough) (?:\w+ )?{_INPUT}s?\s*(?:[.!]|$)"
            ),
            (
                r"\bis (?:currently )?(?:not recogni[sz]ed|unavailable|not available|not a valid|invalid)\b"
                r"(?=.*\b(?:please|valid|try)\b)"
            ),
            (
                r"\b(?:is|appears to be|seems to be) (?:gibberish|an? invalid "
                rf"{_INPUT}|not a valid (?:\w+ )?{_INPUT}|not an? (?:actual|recogni[sz]ed) \w+)"
            ),
        ],
    ),
    (  # an assistant's small talk
        "hope this|requested|sure|certainly|of course|absolutely|here",
        [
            r"\bi hope this helps\b|\bas (?:you )?requested[,:]|^(?:sure|certainly|of course|absolutely)[,!]\s+(?:here|i|let)\b",
            r"^here(?:['’]s| is| are) (?:an?|the|your|some|one)\b[^.]{0,80}:",
        ],
    ),
    (
        "歉|对不起|對不起|不好意思|遗憾|遺憾|法|不能|未能|人工|模型|请|請|不足|ai|以下|下面",
        [
            r"(?:以下|下面)是我?(?:为|為|给|給)(?:您|你|大家)?.{0,6}(?:写|寫|准备|準備|生成|提供|介绍|介紹)",
            r"(?:抱歉|对不起|對不起|不好意思|遗憾|遺憾)[，,。！ ]?.{0,12}(?:无法|無法|不能|没有|沒有|不便|未能|我|您|该|該|这|這)",
            (
                r"(?:无法|無法|不能|未能)(?:为您|為您|为你|根据.{0,20}?)?"
                r"(?:生成|提供|回答|撰写|撰寫|描述|完成|创建|創建|确定|確定|满足|协助|翻译)"
            ),
            r"(?:作为|作為|我是)(?:一个|一個|一名)?(?:人工智能|人工智慧|AI|大?语言模型|大?語言模型)",
            (
                r"[请請]您?(?:提供|输入|輸入|补充|補充|告诉我)(?:更多|有效|具体|具體|正确|正確|完整|一个|书名|标题|详细)"
                r"|(?:信息|資訊|资料|資料)不足"
            ),
        ],
    ),
    (
        "申し|かねます|できません|情報",
        [r"申し訳(?:あり|ござい|ない)|できかねます|(?:生成|提供|回答|作成).{0,4}できません|情報が(?:不足|足り)"],
    ),
    ("죄송|없습니다", [r"죄송(?:합니다|하지만)|(?:제공|생성|답변)할 수 없습니다"]),
    (  # Spanish, Portuguese, Italian
        "siento|lamento|disculpe|perd|desculpe|sinto|dispiace|scuso|spiacente|no p|no e|no me|não|non",
        [
            r"\b(?:lo siento|(?:lo )?lamento|disculpe|perd[oó]n|desculpe|sinto muito)\b,?\s+(?:pero|no|que|mas|não)\b",
            r"\bno (?:puedo|es posible|me es posible) (?:generar|proporcionar|crear|escribir|dar|ofrecer|responder|describir)",
            r"\bnão (?:posso|consigo|é possível) (?:gerar|fornecer|criar|escrever|ajudar|responder|descrever)",
            (
                r"\b(?:mi dispiace|mi scuso|spiacente)\b(?=,| ma | non )"
                r"|\bnon (?:posso|sono in grado di|è possibile) (?:generare|fornire|creare|scrivere|aiutare|rispondere|descrivere)"
            ),
        ],
    ),
    (  # French, German, Russian
        "désolé|regrette|veuillez|je ne|leid|entschuldigung|leider|bitte|ich k|извин|прост|сожал|не мог",
        [
            (
                r"\b(?:je suis désolée?|désolée?,|je regrette|veuillez (?:fournir|préciser|indiquer))"
                r"|\bje ne (?:peux|suis) pas (?:en mesure|capable|générer|fournir|créer|répondre|aider|décrire)"
            ),
            (
                r"\b(?:es tut mir leid|entschuldigung,|leider (?:kann|konnte) ich|bitte geben sie)"
                r"|\bich (?:kann|konnte) (?:\w+ ){0,4}(?:nicht|keine?n?) (?:\w+ ){0,3}"
                r"(?:erstellen|generieren|geben|beantworten|beschreiben|helfen)"
            ),
            r"\b(?:извините|простите|к сожалению, (?:я|не)|я не могу|не могу (?:предоставить|создать|ответить|помочь))",
        ],
    ),
]
_COMPILED = [
    (
        tuple(w.casefold() for w in triggers.split("|")),
        re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE),
    )
    for triggers, patterns in _PATTERNS
]


def refusal(text: str) -> Finding:
    """Fails on a refusal, an apology, an assistant's small talk or a complaint about missing input."""
    folded = text.casefold()
    for triggers, pattern in _COMPILED:
        if any(t in folded for t in triggers) and (found := pattern.search(text)):
            return Finding(GATE, False, 1.0, "refuses, apologises or asks back", clip(found.group().strip()))
    return Finding(GATE, True)
