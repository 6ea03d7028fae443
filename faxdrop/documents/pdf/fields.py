"""Reads one form field: its value and its settings, wherever they are in the field tree.

Works on PDFs opened with explicit conversion, where every value is an ``Object`` whose type can be
checked: in a hostile PDF, any value may have any type.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from pikepdf import Array, Dictionary, Name, Object, Stream, String

from faxdrop.documents.pdf.wholeness import inflate

_MAX_PARENTS = 50
_MAX_NUMBER = 1e7  # no distance on a page comes near it
_MAX_VALUE = 1 << 20  # bytes; the text of one field

_SYMBOL_FONTS = ("ZapfDingbats", "Symbol", "Wingdings", "Webdings")
_SYMBOLIC = 4  # a bit of a font's /Flags

# Bits of /Ff: ISO 32000-1, tables 221, 226, 228 and 230.
MULTILINE, PASSWORD, COMB = 1 << 12, 1 << 13, 1 << 24
RADIO, PUSH_BUTTON = 1 << 15, 1 << 16
COMBO = 1 << 17


class Option(NamedTuple):
    """One choice of a choice field."""

    value: str
    shown: str


class Style(NamedTuple):
    """What a default appearance string (/DA) asks for."""

    size: float  # in points; 0: whatever fits
    colour: bytes  # an operator with its operands
    font: str = ""  # the name of a resource


def name_text(value: Object | None) -> str:
    """Return a name with its slash; "" for anything else. Its bytes need not be UTF-8."""
    return bytes(value).decode(errors="surrogateescape") if isinstance(value, Name) else ""


def name_of(text: str) -> Name:
    """Return a name, given without its slash; the reverse of ``name_text``."""
    escaped = (b"#%02x" % byte for byte in text.encode(errors="surrogateescape"))
    return cast("Name", Object.parse(b"/" + b"".join(escaped)))


def text_of(value: Object | None) -> str:
    """Return the text of a string, a name or a text stream; "" for anything else."""
    match value:
        case String():
            return str(value)
        case Name():
            return name_text(value)[1:]
        case Stream():
            return str(String(stream_start(value, _MAX_VALUE)))
        case _:
            return ""


def numbers_of(value: Object | None, most: int = 100_000) -> list[float]:
    """Return the numbers of an array, with 0 for anything else in it; [] if it is no array."""
    if not isinstance(value, Array):
        return []
    numbers = (each.as_float(0.0) for each in list(value)[:most])
    return [each if abs(each) < _MAX_NUMBER else 0.0 for each in numbers]


def filters_of(stream: Stream) -> list[str]:
    """Return the names of a stream's filters."""
    value = stream.get_raw(Name.Filter)
    if isinstance(value, Array):
        return [name_text(each) for each in value]
    return [name_text(value)] if isinstance(value, Name) else []


def stream_start(stream: Stream, most: int) -> bytes:
    """Return the first bytes of a stream, unpacked in bounded memory if it is packed."""
    filters = filters_of(stream)
    if not filters:
        return stream.read_raw_bytes()[:most]
    if filters in (["/FlateDecode"], ["/Fl"]):
        return inflate(stream.read_raw_bytes(), most, keep=most).data
    return stream.read_bytes()[:most]  # the process has a memory limit


@dataclass(frozen=True)
class Field:
    """One widget on a page, with what it inherits from its field and its form."""

    widget: Dictionary
    form: Dictionary | None = None  # /AcroForm
    lineage: tuple[Dictionary, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lineage", tuple(self._ancestry()))

    def _ancestry(self) -> Iterator[Dictionary]:
        node: Object | None = self.widget
        for _ in range(_MAX_PARENTS):
            if not isinstance(node, Dictionary):
                return
            yield node
            node = node.get_raw(Name.Parent)

    def inherited(self, key: Name) -> Object | None:
        """Return the value of a key in the field, or else in its nearest parent that has it."""
        return next(
            (value for node in self.lineage if (value := node.get_raw(key)) is not None), None
        )

    def number(self, key: Name, default: int = 0) -> int:
        """Return an inherited whole number."""
        for node in self.lineage:
            if (value := node.get_int(key)) is not None:
                return value
        return default

    @property
    def kind(self) -> str:
        """The field type: /Tx, /Ch, /Btn, /Sig or something else."""
        return name_text(self.inherited(Name.FT))

    @property
    def flags(self) -> int:
        """The field flags (/Ff)."""
        return self.number(Name.Ff)

    @property
    def value(self) -> str:
        """The value as one text."""
        return text_of(self.inherited(Name.V))

    @property
    def values(self) -> list[str]:
        """The values of a choice field."""
        value = self.inherited(Name.V)
        if isinstance(value, Array):
            return [text_of(each) for each in value]
        if value is not None:
            return [text_of(value)]
        options = self.options
        chosen = (int(at) for at in numbers_of(self.inherited(Name.I)))
        return [options[at].value for at in chosen if 0 <= at < len(options)]

    @property
    def texts(self) -> list[str]:
        """The texts that the field may show for its value; none if it has no value.

        One for each way to show it: a choice has a value and a word for it.
        """
        if self.inherited(Name.V) is None:
            return []
        if self.kind != "/Ch":
            return [self.value]
        words = {option.value: option.shown for option in reversed(self.options)}
        return [
            " ".join(words.get(value, value) for value in self.values),
            " ".join(self.values),
        ]

    @property
    def is_for_pressing(self) -> bool:
        """Whether it is a push button, but not one whose script takes in the picture it shows."""
        action = self.inherited(Name.A)
        script = action.get_raw(Name.JS) if isinstance(action, Dictionary) else None
        return bool(self.flags & PUSH_BUTTON) and "buttonImportIcon" not in text_of(script)

    @property
    def has_format(self) -> bool:
        """Whether a script of the field says how its value is shown."""
        actions = self.inherited(Name.AA)
        return isinstance(actions, Dictionary) and actions.get_raw(Name.F) is not None

    @property
    def options(self) -> list[Option]:
        """The choices of a choice field, or the meanings of a button's states."""
        value = self.inherited(Name.Opt)
        options = []
        for each in value if isinstance(value, Array) else ():
            pair = list(each)[:2] if isinstance(each, Array) else [each]
            if pair:
                options.append(Option(text_of(pair[0]), text_of(pair[-1])))
        return options

    @property
    def align(self) -> int:
        """The alignment: 0 left, 1 centred, 2 right."""
        own = self.number(Name.Q, -1)
        if own < 0 and self.form is not None:
            own = self.form.get_int(Name.Q, 0)
        return own if own in (1, 2) else 0

    @property
    def style(self) -> Style:
        """Size and colour of its text."""
        value = self.inherited(Name.DA)
        if not isinstance(value, String) and self.form is not None:
            value = self.form.get_raw(Name.DA)
        return style_of(bytes(value) if isinstance(value, String) else b"")

    @property
    def symbols(self) -> Dictionary | None:
        """The font of its text if that is a font of symbols, in which "4" is a tick."""
        common = self.form.get_raw(Name.DR) if self.form is not None else None
        fonts = common.get_raw(Name.Font) if isinstance(common, Dictionary) else None
        name = self.style.font
        font = fonts.get_raw(name_of(name)) if isinstance(fonts, Dictionary) and name else None
        if isinstance(font, Dictionary):
            return font if _is_symbolic(font) else None
        if name == "ZaDb":  # by convention, also where nobody says so
            return Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.ZapfDingbats)
        return None

    # -- check boxes and radio buttons -------------------------------------------------------

    @property
    def states(self) -> set[str]:
        """The names of the states in which this button is on, as far as it says."""
        looks = self.widget.get_raw(Name.AP)
        names: set[str] = set()
        for key in (Name.N, Name.D):
            states = looks.get_raw(key) if isinstance(looks, Dictionary) else None
            if isinstance(states, Dictionary) and not isinstance(states, Stream):
                names |= {name[1:] for name, _ in states.items()}
        return names - {"Off"}

    @property
    def shown_state(self) -> str:
        """The state that the widget shows now (/AS); "" if it does not say."""
        return text_of(self.widget.get_raw(Name.AS))

    def look_of(self, state: str) -> Stream | None:
        """Return the look that the button has for a state."""
        looks = self.widget.get_raw(Name.AP)
        normal = looks.get_raw(Name.N) if isinstance(looks, Dictionary) else None
        if isinstance(normal, Dictionary) and not isinstance(normal, Stream):
            normal = normal.get_raw(name_of(state))
        return normal if isinstance(normal, Stream) else None

    def is_state_of_another(self, state: str) -> bool:
        """Return whether a state is the one in which another button of the group is on."""
        return any(state in Field(each).states for each in self._siblings())

    def state(self) -> str | None:
        """Return the state that the value asks for: "Off", or a name; None if that is unclear."""
        value = self.value
        if value in ("", "Off"):
            return "Off"
        wanted = {value} | {str(at) for at, option in enumerate(self.options) if value in option}
        if self.states:
            return min(self.states & wanted, default="Off")
        siblings = self._siblings()
        if any(text_of(each.get_raw(Name.AS)) in wanted for each in siblings):
            return value if self.shown_state in wanted else "Off"
        if len(siblings) == 1:
            return value
        places = [at for at, each in enumerate(siblings) if str(at) in wanted]
        if places:
            return value if siblings[places[0]].is_same_object_as(self.widget) else "Off"
        return None

    def _siblings(self) -> list[Dictionary]:
        """Return all widgets of this field."""
        parent = self.lineage[1] if len(self.lineage) > 1 else None
        kids = parent.get_raw(Name.Kids) if parent is not None else None
        if Name.T in self.widget or not isinstance(kids, Array):
            return [self.widget]
        return [kid for kid in kids if isinstance(kid, Dictionary)]


def _is_symbolic(font: Dictionary) -> bool:
    if font.get_raw(Name.Subtype) == Name.Type0:
        return False
    name = name_text(font.get_raw(Name.BaseFont)).rpartition("+")[2].lstrip("/")
    if name.startswith(_SYMBOL_FONTS):
        return True
    about = font.get_raw(Name.FontDescriptor)
    flags = about.get_int(Name.Flags, 0) if isinstance(about, Dictionary) else 0
    return bool(flags & _SYMBOLIC) and font.get_raw(Name.Encoding) is None


def style_of(appearance: bytes) -> Style:
    """Read a default appearance string. If it cannot be understood: black, of any size."""
    number = rb"[-+]?\d*\.?\d+"
    sizes = re.findall(rb"(" + number + rb")\s+Tf\b", appearance[:4096])
    colours = re.findall(
        rb"(?:"
        + number
        + rb"\s+)(?:g\b|(?:"
        + number
        + rb"\s+){2}(?:rg\b|"
        + number
        + rb"\s+k\b))",
        appearance[:4096],
    )
    size = min(abs(float(sizes[-1])), 300.0) if sizes else 0.0
    fonts = re.findall(rb"/([^\s/<>()\[\]{}%]+)\s+" + number + rb"\s+Tf\b", appearance[:4096])
    font = fonts[-1].decode(errors="surrogateescape") if fonts else ""
    return Style(size, colours[-1] if colours else b"0 g", font)
