"""JSON, token by token, with the positions and the words of the parser AWS uses (Jackson).

AWS's errors quote the parser's position at the moment of the complaint, and that parser is lazy in two ways that show:

- a string counts as read once its opening quote is; its text is read only when somebody asks for it;
- a field name is read together with its colon and the beginning of its value.

So ``{"a": "text"}`` complains about ``a`` at column 8, right behind the quote, and ``{"a": 42}`` at column 9, behind
the number. The tests hold every message here to the original's.
"""

from __future__ import annotations

import re

from lambdalite.patterns.refusal import PatternSyntax

__all__ = ["END_ARRAY", "END_OBJECT", "FALSE", "FLOAT", "INT", "NAME", "NULL", "START_ARRAY", "START_OBJECT", "STRING"]
__all__ += ["TRUE", "Scanner"]

START_OBJECT, END_OBJECT, START_ARRAY, END_ARRAY = "{", "}", "[", "]"
NAME, STRING, INT, FLOAT = "name", "string", "int", "float"
TRUE, FALSE, NULL = "true", "false", "null"

# Jackson's StreamReadConstraints and ErrorReportConfiguration, defaults of 2.17.
MAX_DEPTH = 1000
MAX_QUOTED = 500
MAX_TOKEN = 256

_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(r"[0-9]*")
_NOT_NUMBERS = ("NaN", "Infinity")
_HINT = "enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
_AFTER_MINUS = "expected digit (0-9) to follow minus sign, for valid numeric value"
_PLUS = "JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS"
_NO_PLUS = f"JSON spec does not allow numbers to have plus signs: enable `{_PLUS}` to allow"
_COMMENT = (
    "maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)"
)


class Scanner:
    """Reads one document. ``token`` is the current token, ``name`` the last field name, :meth:`text` its text."""

    __slots__ = ("_ahead", "_at", "_comma", "_line", "_open", "_row", "_scopes", "_source", "_text", "name", "token")

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0  # offset of the next character to read
        self._line = 1
        self._row = 0  # offset of the current line's first character
        self._scopes: list[tuple[str, int, int]] = []  # open brackets: which, line, column
        self._ahead: str | None = None  # the value token that was read together with its name
        self._open = False  # the current string's text has not been read yet
        self._comma = False  # the scope has an entry, so a comma must come before the next
        self._text = ""
        self.name = ""
        self.token: str | None = None

    # --- what the grammar asks for

    def next(self) -> str | None:
        """Read one token. Returns its kind, or None behind the last; raises PatternSyntax where Jackson would."""
        if self._ahead is not None:
            self.token, self._ahead = self._ahead, None
            self._enter(self.token)
            return self.token
        if self._open:
            self._read_string()
        self.token = self._advance()
        return self.token

    def text(self) -> str:
        """The current token as text: a string without quotes, anything else as written."""
        if self.token == NAME:
            return self.name
        if self._open:
            self._read_string()
        return self._text if self.token in (STRING, INT, FLOAT) else str(self.token)

    def refuse(self, reason: str) -> PatternSyntax:
        """Complain at the current position."""
        return PatternSyntax(f"{reason}\n at {self._where(self._at)}")

    # --- positions

    def _where(self, at: int) -> str:
        return self._marker(self._line, self._column(at))

    def _column(self, at: int) -> int:
        wide = sum(character > "\uffff" for character in self._source[self._row : at])
        return at - self._row + 1 + wide  # the original counts UTF-16 units

    def _marker(self, line: int, column: int) -> str:
        return f'[Source: (String)"{self._quoted()}; line: {line}, column: {column}]'

    def _quoted(self) -> str:
        shown = "".join(map(_visible, self._source[:MAX_QUOTED]))
        left_out = len(self._source) - MAX_QUOTED
        return f'{shown}"[truncated {left_out} chars]' if left_out > 0 else f'{shown}"'

    def _refuse_character(self, expected: str) -> PatternSyntax:
        """Complain about the character at the current position."""
        return self.refuse(f"Unexpected character ({_described(self._source[self._at])}){expected}")

    def _refuse_at(self, at: int, reason: str) -> PatternSyntax:
        return PatternSyntax(f"{reason}\n at {self._where(at)}")

    def _refuse_end(self, where: str) -> PatternSyntax:
        return self.refuse(f"Unexpected end-of-input{where}")

    # --- structure

    def _advance(self) -> str | None:
        self._skip_space()
        if self._at >= len(self._source):
            self._require_closed()
            return None
        if self._source[self._at] in "]}":
            return self._leave(self._source[self._at])
        if self._scopes and self._comma:
            self._skip_comma()
        if self._scopes and self._scopes[-1][0] == START_OBJECT:
            return self._read_name()
        token = self._read_value()
        self._enter(token)
        return token

    def _require_closed(self) -> None:
        if self._scopes:
            bracket, line, column = self._scopes[-1]
            start = f"(start marker at {self._marker(line, column)})"
            raise self._refuse_end(f": expected close marker for {_scope(bracket)} {start}")

    def _enter(self, token: str) -> None:
        self._comma = True
        if token in (START_OBJECT, START_ARRAY):
            self._scopes.append((token, self._line, self._column(self._at - 1)))
            self._comma = False
            if len(self._scopes) > MAX_DEPTH:
                limit = f"({MAX_DEPTH}, from `StreamReadConstraints.getMaxNestingDepth()`)"
                raise PatternSyntax(f"Document nesting depth ({len(self._scopes)}) exceeds the maximum allowed {limit}")

    def _leave(self, bracket: str) -> str:
        opener = START_OBJECT if bracket == END_OBJECT else START_ARRAY
        if not self._scopes or self._scopes[-1][0] != opener:
            raise self._mismatch(bracket)
        self._scopes.pop()
        self._at += 1
        self._comma = True
        return bracket

    def _mismatch(self, bracket: str) -> PatternSyntax:
        opener, line, column = self._scopes[-1] if self._scopes else ("", 1, 0)
        expected = END_OBJECT if bracket == END_ARRAY else END_ARRAY
        start = f"(for {_scope(opener)} starting at {self._marker(line, column)})"
        return self.refuse(f"Unexpected close marker '{bracket}': expected '{expected}' {start}")

    def _skip_comma(self) -> None:
        entries = f"{_scope(self._scopes[-1][0])} entries"
        if self._source[self._at] != ",":
            raise self._refuse_character(f": was expecting comma to separate {entries}")
        self._at += 1
        self._require_more(entries)

    def _require_more(self, entries: str) -> None:
        self._skip_space()
        if self._at >= len(self._source):
            raise self._refuse_end(f" within/between {entries}")

    def _skip_space(self) -> None:
        source = self._source
        while self._at < len(source) and source[self._at] <= " ":
            character = source[self._at]
            if character in "\r\n":
                self._new_line(character)
            elif character not in " \t":
                allowed = "only regular white space (\\r, \\n, \\t) is allowed between tokens"
                raise self._refuse_control("Illegal character", allowed, self._at + 1)
            self._at += 1
        if self._at < len(source) and source[self._at] == "/":
            raise self._refuse_character(f": {_COMMENT}")

    def _new_line(self, character: str) -> None:
        if character == "\r" and self._source[self._at + 1 : self._at + 2] == "\n":
            return  # counted with its line feed
        self._line += 1
        self._row = self._at + 1

    def _read_name(self) -> str:
        if self._source[self._at] != '"':
            raise self._refuse_character(": was expecting double-quote to start field name")
        self._at += 1
        self.name = self._read_quoted("name", " in field name")
        self._require_more("Object entries")
        if self._source[self._at] != ":":
            raise self._refuse_character(": was expecting a colon to separate field name and value")
        self._at += 1
        self._require_more("Object entries")
        self._ahead = self._read_value()
        return NAME

    # --- values

    def _read_value(self) -> str:
        character = self._source[self._at]
        if character == '"':
            self._at += 1
            self._open = True
            return STRING
        if character in "{[":
            self._at += 1
            return character
        if character in "-0123456789":
            return self._read_number()
        if character == "}":
            raise self._refuse_character(": expected a value")
        if character == "+":
            self._at += 1
            raise self._refuse_plus()
        return self._read_word()

    def _refuse_plus(self) -> PatternSyntax:
        if self._at >= len(self._source):
            return self._refuse_end(" in a Number value")
        return self.refuse(f"Unexpected character ('+' (code 43)) in numeric value: {_NO_PLUS}")

    def _read_word(self) -> str:
        start = self._at
        word = self._take_word(start)
        literal = word.split("$")[0]  # the original takes a dollar sign behind a literal for the next token
        if literal in (TRUE, FALSE, NULL):
            self._at = start + len(literal)
            return literal
        if word in _NOT_NUMBERS:
            raise self.refuse(f"Non-standard token '{word}': {_HINT}")
        if not word or not _starts_word(word[0]):
            self._at = start
            raise self._refuse_character(f": expected a valid value {_EXPECTED}")
        raise self.refuse(f"Unrecognized token '{word}': was expecting {_EXPECTED}")

    def _take_word(self, start: int) -> str:
        source = self._source
        while self._at < len(source) and _continues_word(source[self._at]):
            self._at += 1
            if self._at - start >= MAX_TOKEN:
                return source[start : self._at] + "..."
        return source[start : self._at]

    def _read_number(self) -> str:
        start = self._at
        if self._source[start] == "-":
            self._at += 1
            self._require_digit_after_minus()
        if self._source[self._at] == "0" and self._source[self._at + 1 : self._at + 2].isdigit():
            self._at += 1
            raise self.refuse("Invalid numeric value: Leading zeroes not allowed")
        self._digits()
        # Where complaints about a fraction point: the end of the whole part, or behind it when that is a lone zero.
        kind = self._read_fraction(self._at + (self._source[start : self._at] in ("0", "-0")))
        self._text = self._source[start : self._at]
        if not self._scopes:
            self._require_root_space()
        return kind

    def _require_digit_after_minus(self) -> None:
        if self._digit():
            return
        if self._at >= len(self._source):
            raise self._refuse_end("No digit following sign")
        if self._peek() == ".":
            raise self._refuse_character(f": expected a valid value {_EXPECTED}")
        if self._peek() == "I":
            self._at += 1
            self._refuse_infinity()
        if self._at >= len(self._source):
            raise self._refuse_end(" in a Number value")
        raise self._refuse_character(f" in numeric value: {_AFTER_MINUS}")

    def _refuse_infinity(self) -> None:
        if self._peek() not in ("N", "n"):
            return
        word = "-I" + self._take_word(self._at)
        if word in ("-INF", "-Infinity"):
            raise self.refuse(f"Non-standard token '{word}': {_HINT}")
        raise self.refuse(f"Unrecognized token '{word}': was expecting {_EXPECTED}")

    def _read_fraction(self, whole: int) -> str:
        kind = INT
        if self._peek() == ".":
            kind = FLOAT
            self._at += 1
            self._require_decimals(whole)
        if self._peek() in ("e", "E"):
            kind = FLOAT
            self._at += 2 if self._source[self._at + 1 : self._at + 2] in ("+", "-") else 1
            self._require_exponent(whole)
        return kind

    def _require_decimals(self, whole: int) -> None:
        if not self._digit():
            self._at = min(self._at, len(self._source) - 1)
            raise self._refuse_number(whole, "Decimal point not followed by a digit")
        self._digits()

    def _require_exponent(self, whole: int) -> None:
        if self._at >= len(self._source):
            raise self._refuse_end("expected a digit for number exponent")
        if not self._digit():
            raise self._refuse_number(whole, "Exponent indicator not followed by a digit")
        self._digits()

    def _refuse_number(self, at: int, reason: str) -> PatternSyntax:
        character = _described(self._source[self._at])
        return self._refuse_at(at, f"Unexpected character ({character}) in numeric value: {reason}")

    def _require_root_space(self) -> None:
        if self._at >= len(self._source):
            return
        if self._source[self._at] not in " \t\r\n":
            raise self._refuse_character(": Expected space separating root-level values")
        if self._source[self._at] in "\r\n":
            self._new_line(self._source[self._at])
        self._at += 1

    def _digits(self) -> None:
        found = _DIGITS.match(self._source, self._at)
        assert found is not None
        self._at = found.end()

    def _digit(self) -> bool:
        return "0" <= self._peek() <= "9"

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1] or "\0"

    # --- strings

    def _read_string(self) -> None:
        self._open = False
        self._text = self._read_quoted("string value", ": was expecting closing quote for a string value")

    def _read_quoted(self, what: str, at_end: str) -> str:
        parts: list[str] = []
        while True:
            found = _PLAIN.match(self._source, self._at)
            assert found is not None
            parts.append(found.group())
            self._at = found.end()
            if self._at >= len(self._source):
                raise self._refuse_end(at_end)
            character = self._source[self._at]
            if character < " ":
                needed = f"has to be escaped using backslash to be included in {what}"
                raise self._refuse_control("Illegal unquoted character", needed, self._at)
            self._at += 1
            if character == '"':
                return _joined(parts)
            parts.append(self._read_escape())

    def _read_escape(self) -> str:
        if self._at >= len(self._source):
            raise self._refuse_end(" in character escape sequence")
        character = self._source[self._at]
        if character in _ESCAPES:
            self._at += 1
            return _ESCAPES[character]
        if character != "u":
            raise self.refuse(f"Unrecognized character escape {_described(character)}")
        self._at += 1
        return chr(int("".join(self._hex_digit() for _ in range(4)), 16))

    def _hex_digit(self) -> str:
        if self._at >= len(self._source):
            raise self._refuse_end(" in character escape sequence")
        character = self._source[self._at]
        if character not in "0123456789abcdefABCDEF":
            raise self._refuse_character(": expected a hex-digit for character escape sequence")
        self._at += 1
        return character

    def _refuse_control(self, what: str, why: str, at: int) -> PatternSyntax:
        return self._refuse_at(at, f"{what} ({_described(self._source[self._at])}): {why}")


def _joined(parts: list[str]) -> str:
    r"""Put a string together; two halves of a surrogate pair, written as two ``\u`` escapes, become one character."""
    text = "".join(parts)
    if len(parts) == 1 or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _scope(bracket: str) -> str:
    return {START_OBJECT: "Object", START_ARRAY: "Array"}.get(bracket, "root")


def _described(character: str) -> str:
    code = ord(character)
    if code < ord(" ") or 0x7F <= code <= 0x9F:
        return f"(CTRL-CHAR, code {code})"
    return f"'{character}' (code {code})" if code <= 0xFF else f"'{character}' (code {code} / 0x{code:x})"


def _visible(character: str) -> str:
    hidden = (character < " " and character not in "\r\n") or "\x7f" <= character <= "\x9f"
    return f"\\u{ord(character):04X}" if hidden else character


def _starts_word(character: str) -> bool:
    return character == "$" or character.isidentifier()


def _continues_word(character: str) -> bool:
    return character == "$" or ("a" + character).isidentifier()
