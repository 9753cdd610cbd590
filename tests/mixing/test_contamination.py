"""The index of benchmarks' n-grams: a benchmark's text is found anywhere in a conversation, and little else is."""

import random
from unicodedata import normalize

import pytest

from stages.lib.mixing.contamination import MAX_DOCUMENTS, NgramIndex
from stages.lib.mixing.words import split_words, weigh_words

QUESTION = "A farmer sells nine brown hens at a fair and buys two old goats with half of the money."  # 19 words
FIRST_12 = "A farmer sells nine brown hens at a fair and buys two"
BENCHMARKS = [
    ("sums", "0", QUESTION),
    ("sums", "1", "Which of these four rivers crosses the largest number of borders between its source and the sea?"),
    ("facts", "0", "Nobody has ever seen the far shore."),  # 7 words
    ("facts", "1", "Who was the first to see the far shore?"),  # 9 words
    ("facts", "2", "Yes."),
]


@pytest.fixture(scope="module")
def index():
    return NgramIndex(BENCHMARKS)


@pytest.mark.parametrize(
    "conversation",
    [
        [QUESTION, "Ten coins."],
        ["Hello!", "Hello.", f"My homework, please. {QUESTION} Thanks!", "Ten coins."],
        ["Give me an example of a riddle.", f"Here is one:\n\n> {QUESTION}"],
        ["Go on", "Once, a farmer sells nine brown hens at a fair and buys two old geese"],
    ],
    ids=["first turn", "middle of a later turn", "reply", "13 of its words"],
)
def test_a_question_is_found_anywhere_in_a_conversation(index, conversation):
    assert index.find("\n".join(conversation)) == [("sums", "0")]


@pytest.mark.parametrize(
    "changed",
    [
        QUESTION.upper(),
        QUESTION.replace(" ", "\n"),
        "A farmer sells (nine) brown hens -- at a fair... and buys *two* old goats, with half of the money",
    ],
)
def test_case_punctuation_and_layout_make_no_difference(index, changed):
    assert index.find(changed) == [("sums", "0")]


def test_thirteen_words_in_a_row_are_a_hit_and_twelve_are_not(index):
    assert index.find(f"{FIRST_12} young lambs") == []
    assert index.find(f"{FIRST_12} old lambs") == [("sums", "0")]
    assert index.find("One" + FIRST_12[1:] + " old lambs") == []
    assert index.find(f"{FIRST_12} very old goats with half of the money") == []  # 12, one between, 7
    assert NgramIndex(BENCHMARKS, n=12).find(f"{FIRST_12} young lambs") == [("sums", "0")]


def test_the_same_words_in_another_order_are_not_a_hit(index):
    assert index.find(" ".join(sorted(split_words(QUESTION)))) == []
    assert index.find(" ".join(reversed(split_words(QUESTION)))) == []


def test_a_text_shorter_than_n_is_found_as_a_whole_from_eight_words_on(index):
    assert index.find("I wonder: who was the first to see the far shore? Tell me.") == [("facts", "1")]
    assert index.find("Who was the first to see the far side?") == []
    assert index.find("Nobody has ever seen the far shore.") == []


def test_documents_that_are_too_short_are_counted_by_benchmark(index):
    assert index.unchecked == {"facts": 2}


def test_a_document_of_several_texts_is_found_by_any_and_unchecked_only_when_all_are_too_short():
    both = NgramIndex([("facts", "1", "Who was the first to see the far shore?"), ("facts", "1", "Yes.")])
    assert both.unchecked == {}
    answer = NgramIndex([("sums", "0", "How much is left?"), ("sums", "0", QUESTION)])
    assert answer.find(QUESTION) == [("sums", "0")] and answer.unchecked == {}


def test_documents_are_returned_once_in_the_order_of_the_index():
    same = NgramIndex([("b", "2", QUESTION), ("a", "1", f"{QUESTION} How many coins are left?"), ("c", "0", "Yes.")])
    assert same.find(f"{QUESTION}\n{QUESTION}") == [("b", "2"), ("a", "1")]


def test_words_that_many_documents_share_are_not_a_hit():
    form = "Read the sentence below with care and choose the one word that fits it best:"  # 15 words
    items = [("cloze", str(number), f"{form} item{number}") for number in range(MAX_DOCUMENTS + 1)]
    assert len(NgramIndex(items[:MAX_DOCUMENTS]).find(form)) == MAX_DOCUMENTS
    many = NgramIndex(items)
    assert many.find(form) == []
    assert many.find(f"{form} item3") == [("cloze", "3")]
    alone = NgramIndex([(name, document, form) for name, document, _ in items])
    assert alone.unchecked == {"cloze": MAX_DOCUMENTS + 1} and alone.find(form) == []


RIVER = "长江是中国最长的河流全长约六千三百公里流经十一个省份最后注入东海"  # 32 characters: 16 words
CAPITAL = "เมืองหลวงของประเทศไทยคือเมืองอะไร และตั้งอยู่ริมแม่น้ำสายใดของประเทศ"
ANIMAL = "สัตว์ประจำชาติของประเทศไทยคือเมืองอะไร และตั้งอยู่ในป่าแห่งใดของประเทศ"
POLISH = "Czy ktoś wie, dlaczego żaba mieszkająca nad małą rzeką śpiewa głośniej niż ta z dużego jeziora?"


def test_scripts_without_spaces_are_split_into_letters():
    assert split_words("「源氏物語」を読む GPT-4") == ["源", "氏", "物", "語", "を", "読", "む", "gpt", "4"]
    assert split_words("スーパー 佐々木 𠮷野家") == ["ス", "ー", "パ", "ー", "佐", "々", "木", "𠮷", "野", "家"]
    assert weigh_words(["gpt", "4", "源", "ー", "ไ", "မြ"]).tolist() == [4, 4, 2, 2, 1, 1]  # quarters of a word


def test_chinese_characters_count_half_a_word():
    river = NgramIndex([("zh", "0", RIVER), ("zh", "1", "黄河在哪里?"), ("zh", "2", RIVER[:21])])
    assert river.find(f"请问:{RIVER[2:10]}, {RIVER[10:28]}是真的吗") == [("zh", "0")]  # 26 characters are 13 words
    assert river.find(f"请问:{RIVER[2:27]}在哪里") == []
    assert river.find(f"请问:{RIVER[:21]}吗") == [("zh", "2")]  # the whole text
    assert river.unchecked == {"zh": 1}
    assert NgramIndex([("zh", "0", RIVER)], n=8).find(RIVER[2:18]) == [("zh", "0")]  # 16


def test_thai_letters_with_their_marks_count_a_quarter_of_a_word():
    assert split_words("น้ำ") == split_words("น\u0e49\u0e33") and len(split_words("ที่นี่")) == 2
    thai = NgramIndex([("th", "capital", CAPITAL), ("th", "short", "เมืองหลวงของไทย")])
    assert thai.find(f"ช่วยตอบหน่อย: {CAPITAL}") == [("th", "capital")]
    assert thai.find(ANIMAL) == [], "no more than 'of Thailand is the town of' is the same"
    assert thai.unchecked == {"th": 1}


def test_an_ngram_of_two_scripts_counts_each_in_its_way():
    mixed = NgramIndex([("m", "0", f"{FIRST_12} 山羊")])  # 12 words, and two halves
    assert mixed.find(f"{FIRST_12} 山羊!") == [("m", "0")]
    assert mixed.find(f"{FIRST_12} 山") == mixed.find(f"{FIRST_12} 绵羊") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में कविता", ["हिन्दी", "में", "कविता"]),
        ("كَتَبَ الوَلَدُ", ["كَتَبَ", "الوَلَدُ"]),
        ("שָׁלוֹם עוֹלָם", ["שָׁלוֹם", "עוֹלָם"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("x\u030c ❤\ufe0f 1\ufe0f\u20e3", ["x\u030c", "1"]),  # a caron that no letter has; symbols' variants
    ],
    ids=["Hindi", "Arabic", "Hebrew", "Tamil", "Latin and symbols"],
)
def test_marks_belong_to_their_letter(text, words):
    assert split_words(text) == [normalize("NFKC", word) for word in words]


def test_accents_written_apart_and_characters_that_show_nothing_make_no_difference():
    index = NgramIndex([("pl", "0", POLISH)])
    assert index.find(normalize("NFD", POLISH)) == [("pl", "0")]
    assert index.find(POLISH.replace("ka", "k\u00ada").replace("ie", "i\u200be")) == [("pl", "0")]
    assert split_words("می\u200cخواهم") == split_words("میخواهم")  # Persian's zero-width non-joiner


def test_the_shortest_runs_of_n_words_are_hashed_wherever_they_begin():
    """Beside a naive search: every run of letters and words that counts n words and would not without its last."""
    draw = random.Random(5)
    for _ in range(200):
        document, text = ([draw.choice("甲乙丙กขab") for _ in range(draw.randrange(4, 16))] for _ in range(2))
        document, text = ([f" {letter} " for letter in letters] for letters in (document, text))
        found = NgramIndex([("b", "0", "".join(document))], n=3).find("".join(text))
        assert bool(found) == bool(naive_runs(document, 3) & naive_runs(text, 3)), (document, text)


def naive_runs(words, n):
    sizes = weigh_words([word.strip() for word in words])
    spans = [(i, j) for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
    runs = {tuple(words[i:j]) for i, j in spans if sizes[i : j - 1].sum() < 4 * n <= sizes[i:j].sum()}
    return runs or ({tuple(words)} if sizes.sum() >= 4 * n else set())


def test_scripts_with_spaces_are_split_into_words():
    assert split_words("Привет, МИР! 안녕하세요 세계 straße") == ["привет", "мир", "안녕하세요", "세계", "strasse"]


def test_characters_that_can_be_written_in_several_ways_are_the_same():
    assert split_words("Cafe\u0301 №１３ ＡＢＣ") == split_words("café no13 abc")


def test_a_text_without_words_and_an_index_without_texts_give_nothing(index):
    assert index.find("") == index.find("... !?") == []
    nothing = NgramIndex([])
    assert nothing.find(QUESTION) == [] and nothing.unchecked == {}


def test_unknown_words_are_never_taken_for_known_ones(index):
    assert index.find(" ".join(f"word{number}" for number in range(50))) == []
    assert index.find(QUESTION.replace("fair", "market")) == []


def test_the_hits_do_not_depend_on_the_order_of_the_index(index):
    turned = NgramIndex(reversed(BENCHMARKS))
    for _, _, text in BENCHMARKS:
        assert turned.find(text) == index.find(text) == NgramIndex(BENCHMARKS).find(text)
