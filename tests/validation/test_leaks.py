"""Control and role text of public families is a leak; the same text as a subject is none."""

import pytest

from tests.support.validation import IMPORT, generated, import_reasons, prompt, verdict

TOKENS = """
<|begin_of_text|> <|eot_id|> <|python_tag|> <|header_start|> <|eom|> [INST] [/INST] <<SYS>> <s> </s> <unk> <pad>
[TOOL_CALLS] [AVAILABLE_TOOLS] [TOOL_RESULTS] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT] [CALL_ID]
[MODEL_SETTINGS] [IMG_END] [BEGIN_AUDIO] <bos> <eos> <start_of_turn> <end_of_turn> <start_of_image> <unused0>
<|im_start|> <|im_end|> <|endoftext|> <|fim_prefix|> <|vision_start|> <tool_call> </tool_call> <tool_response>
<|user|> <|assistant|> <|end|> <|im_sep|> [gMASK] [sMASK] [MASK] <sop> <eop> <|observation|>
<｜begin▁of▁sentence｜> <｜User｜> <｜tool▁calls▁begin｜> <|EOT|> <|START_OF_TURN_TOKEN|> <|CHATBOT_TOKEN|>
<BOS_TOKEN> <EOP_TOKEN> >>QUESTION<< >>ABSTRACT<< <reserved_106> [UNUSED_TOKEN_145] <TOKENS_UNUSED_0> <eoh>
<eoa> <|startoftext|> <|action_start|> <|end_of_turn|> <|start_of_role|> |||IP_ADDRESS||| |||EMAIL_ADDRESS|||
<|channel|> <|return|> <extra_id_0> [CLS] [SEP] [PAD] [UNK] <mask> <cls> <sep> <eod> <fim_middle> <fim_suffix>
<file_sep> <repo_name> <gh_stars> <jupyter_start> <issue_start> <empty_output> <SPECIAL_12> <|hy_User|>
<|hy_begin▁of▁sentence｜> <|im_middle|> <|tool_calls_section_begin|> <beginning_of_sentence> <end_of_sentence>
]~b] [e~[ <minimax:tool_call> [|endofturn|] [|user|] <role>HUMAN</role> [unused1] <end_of_utterance> <|sep|>
<|prompter|> <|turn> <turn|> <end_of_image> <seed:bos> <ctrl99> [BOS] [EOS] <BOS> <EOS> [BEGIN_FINAL_RESPONSE]
<|reserved_special_token_0|>
""".split()

HEADERS = """
User:;Human:;USER:;HUMAN:;user:;ASSISTANT:;Assistant:;### Question:;### Instruction:;### Response:;### Input:;### Human:
### Assistant:;### User:;### System:;### Answer:;### Prompt:;### Instruct:;###Instruction:;GPT4 User:;GPT4 Correct User:
GPT4 Correct Assistant:;Code User:;[Round 2];问：;用户：;<human>:;<bot>:;[Human]:
Instruct:;BEGINNING OF CONVERSATION: USER:
""".replace("\n", ";").strip(";").split(";")  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_token_behind_a_sentence_is_a_leak_and_none_in_code_or_where_the_user_wrote_it(token: str) -> None:
    for reply in (f"It is for ships.{token}", f"It is for ships.\n{token}", f"It is for ships.{token}And then?"):
        assert import_reasons(reply) == ["control_token"]
        assert import_reasons(reply, f"What does {token} mean?") == []
    for reply in (f"It ends with `{token}`.", f"It is so:\n```\nend = {token}\n```\nand no other."):
        assert import_reasons(reply) == []


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_behind_a_reply_is_a_leak_and_none_in_code_or_where_the_user_wrote_it(header: str) -> None:
    for reply in (f"It is for ships.\n{header} And then?", f"It is for ships.\n\n{header}\nAnd then?"):
        assert import_reasons(reply) == ["template_leak"]
        assert import_reasons(reply, f"What is {header} for?") == []
    assert import_reasons(f"It is so:\n```\n{header} And then?\n```\nand no other.") == []


def test_a_header_alone_at_the_end_is_a_leak() -> None:
    assert import_reasons("It is for ships.\n\nUser:") == ["template_leak"]
    assert import_reasons("It is for ships.\nassistant\n\nIt is.") == ["template_leak"]
    assert import_reasons("It is for ships.\nuser\nAnd then?") == ["template_leak"]


def test_a_reply_that_speaks_for_both_is_a_leak_unless_the_user_named_an_assistant() -> None:
    both = "It is for ships.\nUser: And then?\nIs it?\nAssistant: It is.\nIt is so."
    assert import_reasons(both) == ["template_leak"]
    assert import_reasons(both, "Write how a sailor and an assistant talk.") == []
    assert import_reasons("Assistant: It is for ships.\nIt is so.\nIt is.") == ["template_leak"]


def test_a_word_that_begins_a_line_of_prose_is_no_header() -> None:
    assert import_reasons("Human rights: they are for all.\nUser: a role\nAdmin: another role\nIt is so.") == []
    assert import_reasons("These are the roles:\n\nUser: reads.\nEditor: writes.") == []


def test_a_text_about_tokens_has_no_leak() -> None:
    assert import_reasons("BERT adds [CLS] at the start and [SEP] at the end; <pad> fills the rest of the row.") == []
    assert import_reasons('The end is written "<|im_end|>" by some and “</s>” by others.') == []
    assert import_reasons("Was <s>ten</s> nine, was <s>six</s> five.") == []
    assert import_reasons("<s>It is for ships.</s>") == ["control_token"]
    assert import_reasons("<pad><pad><pad>") == ["control_token"]


def test_a_token_that_the_system_message_names_is_no_leak() -> None:
    row, asked = generated("Hi?"), prompt("Hi?")
    row["turns"][0] |= {"assistant": "It is for ships.<eos>", "finish_reason": "imported"}
    assert verdict(row, asked, model=IMPORT)["reasons"] == ["control_token"]
    asked["system"] = "End each reply with <eos>."
    assert verdict(row, asked, model=IMPORT)["reasons"] == []
