"""Refusals and apologies: the writer talks about itself or about missing input instead of the subject."""

import re

from ..base import Finding
from ..text import clip

GATE = "noise/refusal"

_DO = (
    r"(?:generate|create|provide|write|produce|describe|determine|answer|help (?:you|with)|assist|complete|give you|offer|"
    r"summari[sz]e|fulfil+|comply|access|find (?:any|a|the)|identify|do that|recommend|translate|tell you)"
)
_INPUT = r"(?:title|name|text|passage|input|item|record|ingredients?|information|details?|context|description|data|list|prompt|request|question|document|article|content)"
_START = r"(?:^|(?<=[.!?\n\"“])\s*)"
_PATTERNS = [
    # the writer on itself
    rf"\b(?:i|we)(?:\s+am|['’]m|\s+are|['’]re|\s+was|\s+were)?\s+(?:(?:\w+ly|currently)\s+)?(?:unable to|not able to|cannot|can\s?not|can['’]?t|could not|couldn['’]t|won['’]t|will not)\s+(?:\w+ly\s+)?{_DO}\b",
    rf"{_START}(?:it is |it's )?(?:unable|not possible|impossible) to {_DO}\b",
    r"\b(?:i|we) (?:do not|don['’]t) have (?:\w+ )?(?:access|enough|sufficient|information|any information|the ability|details)\b",
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|assistant)\b|\bi(?:['’]m| am) (?:just |only )?an? (?:ai|language model|assistant)\b",
    r"\b(?:i|we)(?:['’]m| am| are|['’]re)? (?:very |truly |so )?sorry\b[,.!]?\s+(?:but|i|we|for the|that|about|to)\b",
    rf"{_START}(?:sorry|apologies|my apologies|i apologi[sz]e|we apologi[sz]e)\b,?\s*(?:but|i|we|for|this|that|there|the|it|no)\b",
    # what it was given
    rf"\bplease (?:provide|specify|supply|share|enter|give|send|clarify)\s+(?:me |us )?(?:with )?(?:an?|the|more|your|some|any|further|additional|valid|\w+ing|which)\b.{{0,40}}\b{_INPUT}",
    rf"\b(?:insufficient|not enough|lack of|too little|no) (?:\w+ )?{_INPUT}\b(?: \w+)?(?: (?:is|was|were|are|has been|have been))? (?:provided|given|supplied|available|specified|to {_DO})",
    rf"\bthere (?:is|was|are|were) (?:no|not enough|insufficient) (?:\w+ )?{_INPUT}s?\b(?! (?:of|for|about) )",
    rf"{_START}(?:unfortunately,?\s+)?(?:the|this|your) (?:\w+ )?(?:provided|given|supplied|requested)\b.{{0,40}}?\b(?:does not|doesn['’]t|is not|isn['’]t|cannot|can['’]t|contains? (?:invalid|random|unreadable)|appears? to be|is invalid|is (?:incomplete|unclear|gibberish))",
    rf"{_START}(?:the|this) (?:\w+ ){{0,3}}?(?:does not|doesn['’]t|do not) (?:have|contain|include|provide) (?:an?|any|the|enough) (?:\w+ )?{_INPUT}s?\s*(?:[.!]|$)",
    r"\bis (?:currently )?(?:not recogni[sz]ed|unavailable|not available|not a valid|invalid)\b(?=.*\b(?:please|valid|try)\b)",
    rf"\b(?:is|appears to be|seems to be) (?:gibberish|an? invalid {_INPUT}|not a valid (?:\w+ )?{_INPUT}|not an? (?:actual|recogni[sz]ed) \w+)",
    r"\bcould you (?:please )?(?:provide|clarify|specify|tell me|share|give me)\b|\blet me know (?:if|what|which|how) (?:you|i)\b|\bhow (?:can|may) i (?:help|assist)\b",
    r"\bi hope this helps\b|\bas (?:you )?requested\b[,:]|^(?:sure|certainly|of course|absolutely)[,!]\s+(?:here|i|let)\b|^here(?:['’]s| is| are) (?:an?|the|your|some|one)\b[^.]{0,80}:",
    # Chinese, Japanese, Korean
    r"(?:很|非常|十分|实在)?(?:抱歉|对不起|對不起|不好意思|遗憾|遺憾)[，,。！ ]?.{0,12}(?:无法|無法|不能|没有|沒有|不便|未能|我|您|该|該|这|這)",
    r"(?:我|本助手|作为.{0,8})?(?:无法|無法|不能|未能)(?:为您|為您|为你|根据.{0,20})?(?:生成|提供|回答|撰写|撰寫|描述|完成|创建|創建|确定|確定|满足|协助|翻译)",
    r"作为(?:一个|一名)?(?:人工智能|AI|语言模型|大语言模型)|作為(?:一個)?(?:人工智慧|AI|語言模型)|我是(?:一个|一個)?(?:人工智能|AI|语言模型|語言模型)",
    r"请(?:您)?(?:提供|输入|补充|告诉我)(?:更多|有效|具体|正确|完整|一个|书名|标题|详细)|請(?:您)?(?:提供|輸入|補充)(?:更多|有效|具體|正確|完整)|(?:信息|資訊|资料|資料)不足",
    r"申し訳(?:ありません|ございません|ない)|できかねます|(?:生成|提供|回答|作成)(?:することが|することは|は)?できません|情報が(?:不足|足りません)",
    r"죄송(?:합니다|하지만)|(?:제공|생성|답변)할 수 없습니다",
    # other European languages
    r"\b(?:lo siento|lamento|lo lamento|disculpe|perd[oó]n)\b,?\s+(?:pero|no|que)\b|\bno (?:puedo|es posible|me es posible) (?:generar|proporcionar|crear|escribir|dar|ofrecer|ayudar|responder|describir)",
    r"\b(?:désolé|je suis désolée?|je regrette|veuillez (?:fournir|préciser|indiquer))\b|\bje ne (?:peux|suis) pas (?:en mesure|capable|générer|fournir|créer|répondre|aider|décrire)",
    r"\b(?:es tut mir leid|entschuldigung|leider (?:kann|konnte|ist es|habe)|bitte geben sie)\b|\bich (?:kann|konnte) (?:\w+ ){0,4}(?:nicht|keine?n?) (?:\w+ ){0,3}(?:erstellen|generieren|geben|beantworten|beschreiben|helfen)",
    r"\b(?:desculpe|sinto muito|lamento)\b,?\s+(?:mas|não)\b|\bnão (?:posso|consigo|é possível) (?:gerar|fornecer|criar|escrever|ajudar|responder|descrever)",
    r"\b(?:mi dispiace|mi scuso|spiacente)\b|\bnon (?:posso|sono in grado di|è possibile) (?:generare|fornire|creare|scrivere|aiutare|rispondere|descrivere)",
    r"\b(?:извините|простите|к сожалению, (?:я|не)|я не могу|не могу (?:предоставить|создать|ответить|помочь))",
]
_REFUSAL = re.compile("|".join(f"(?:{p})" for p in _PATTERNS), re.IGNORECASE)


def refusal(text: str) -> Finding:
    """Fails on a refusal, an apology, an assistant's small talk or a complaint about missing input."""
    found = _REFUSAL.search(text)
    if not found:
        return Finding(GATE, True)
    return Finding(GATE, False, 1.0, "refuses, apologises or asks back", clip(found.group().strip()))
