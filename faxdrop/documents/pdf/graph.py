"""Bounded walks through a PDF: its page tree, and everything that its pages draw.

Each object that is reached is parsed, so that the reader warns about damage. Nothing is decoded.
The walks keep their own stacks, so deep nesting exhausts none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Object, ObjectSet, Pdf, Stream

from faxdrop.words import _

_MAX_NODES = 100_000  # of a page tree
_MAX_DEPTH = 100  # of a page tree; that of a balanced one is its logarithm
_MAX_COUNTED = 10_000  # pages
_MAX_OBJECTS = 200_000  # that are looked at for all pages together
_ELSEWHERE = frozenset(
    {
        "/Parent", "/P", "/Popup", "/IRT", "/Dest", "/A", "/AA", "/B", "/StructParent",
        "/StructParents", "/Metadata", "/PieceInfo", "/Thumb", "/FS", "/Kids", "/ToUnicode", "/AF",
        "/Length", "/3DD", "/RichMediaContent", "/RichMediaSettings", "/Sound", "/Movie",
    }
)  # fmt: skip
"""What leads away from a page, or is nothing that is drawn: viewers show the page without it."""

ObjectId = tuple[int, int]
"""Number and generation of an object."""


class DamageError(Exception):
    """Part of the PDF is missing or wrong; says what, for people."""

    def __init__(self, message: str, *, whole: bool = False) -> None:
        super().__init__(message)
        self.whole = whole  # and it will not be there later, either


class PageList(NamedTuple):
    """The pages of a PDF, as many as asked for, and how many there are."""

    pages: list[Dictionary]
    total: int
    more: bool = False  # there are more than were counted
    mended: bool = False  # the list had entries that are no pages


def page_list(pdf: Pdf, most: int) -> PageList:
    """Return the pages in order; after ``most``, pages are only counted, up to a limit.

    Trusts no /Count but this: if there are as many pages as it says, then whatever else stands in
    the tree (a node above, nothing, an object that is not there) is no page, and is removed.
    Raises DamageError if a page is missing.
    """
    pages: list[Dictionary] = []
    count = nodes = 0
    wrong: list[tuple[Array, int]] = []  # what is no page: in which list, and where there
    fault = _("A page of the PDF is missing.")
    path: list[_Node] = []
    _enter(pdf.Root.get_raw(Name.Pages), path)
    while path:
        index, node = next(path[-1].entries, (0, _NO_MORE))
        if node is _NO_MORE:
            path.pop()
            continue
        nodes += 1
        if nodes > _MAX_NODES or count > max(_MAX_COUNTED, most):
            return PageList(pages, count, more=True)
        if not isinstance(node, Dictionary):
            wrong.append((path[-1].kids, index))
        elif Name.Kids not in node or _is_page(node):
            count += 1
            if count <= most:
                pages.append(node)
        elif any(node.is_same_object_as(above.node) for above in path):
            wrong.append((path[-1].kids, index))
            fault = _("The list of pages of the PDF refers to itself.")
        else:
            _enter(node, path)
    if wrong and pdf.Root.Pages.get_int(Name.Count, -1) != count:
        raise DamageError(fault)
    for kids, index in sorted(wrong, key=itemgetter(1), reverse=True):  # none moves another
        del kids[index]
    return PageList(pages, count, mended=bool(wrong))


_NO_MORE = Name("/NoMore")  # a missing page is None


def _is_page(node: Dictionary) -> bool:
    """Return whether a node that has kids is a page all the same, as some viewers see it."""
    return Name.Contents in node and node.get_raw(Name.Type) == Name.Page


class _Node(NamedTuple):
    """A node of a page tree that is being walked through."""

    node: Dictionary
    kids: Array
    entries: Iterator[tuple[int, Object | None]]


def _enter(node: Object | None, path: list[_Node]) -> None:
    if not isinstance(node, Dictionary):
        raise DamageError(_("The list of pages of the PDF is missing."))
    kids = node.get_raw(Name.Kids)
    if not isinstance(kids, Array):
        raise DamageError(_("The list of pages of the PDF is damaged."))
    if len(path) >= _MAX_DEPTH:
        raise DamageError(_("The list of pages of the PDF is nested too deeply."), whole=True)
    path.append(_Node(node, kids, enumerate(kids)))


@dataclass
class UsedStreams:
    """The streams that pages use."""

    streams: list[Stream] = field(default_factory=list)
    contents: ObjectSet = field(default_factory=ObjectSet)  # those that are a page's own
    nodes: list[Object] = field(default_factory=list)  # all that was reached

    def is_operators(self, stream: Stream) -> bool:
        """Return whether a stream consists of drawing operators."""
        return stream in self.contents or stream.get_raw(Name.Subtype) == Name.Form

    @property
    def ids(self) -> set[ObjectId]:
        """The objects that were reached."""
        return {node.objgen for node in self.nodes if node.is_indirect}

    @property
    def is_hollow(self) -> bool:
        """Whether the pages draw something that has no data."""
        return any(isinstance(node, Dictionary) and _is_hollow(node) for node in self.nodes)


def drawn_by(pages: list[Dictionary]) -> UsedStreams:
    """Find all streams that pages use, their inherited resources included."""
    drawn = UsedStreams()
    seen = ObjectSet()
    waiting: list[Object] = []
    for page in reversed(pages):
        contents = page.get_raw(Name.Contents)
        for each in contents if isinstance(contents, Array) else (contents,):
            if isinstance(each, Stream):
                drawn.contents.add(each)
            elif each is not None:
                raise DamageError(_("The content of a page of the PDF is missing."))
        waiting.append(page)
        waiting += _inherited(page)
    budget = _MAX_OBJECTS
    while waiting and budget > 0:
        node = waiting.pop()
        budget -= 1
        if not isinstance(node, Array | Dictionary | Stream) or not seen.add(node):
            continue
        drawn.nodes.append(node)
        if isinstance(node, Stream):
            drawn.streams.append(node)
        waiting += list(_entries(node) if isinstance(node, Array) else _children(node))[:budget]
    return drawn


def _is_hollow(resources: Dictionary) -> bool:
    named = resources.get_raw(Name.XObject)
    return isinstance(named, Dictionary) and not all(
        isinstance(each, Stream) for _, each in named.items()
    )


def _entries(node: Array) -> Iterator[Object]:
    entries = iter(node)
    first = next(entries, None)
    # A colour profile is not needed: viewers know the number of colours without it.
    if first != Name.ICCBased:
        yield from (each for each in (first, *entries) if each is not None)


def _children(node: Object) -> Iterator[Object]:
    for key, value in node.items():
        if key not in _ELSEWHERE and isinstance(value, Array | Dictionary | Stream):
            yield value


def _inherited(page: Dictionary) -> Iterator[Object]:
    node: Object | None = page
    for _again in range(50):
        node = node.get_raw(Name.Parent) if isinstance(node, Dictionary) else None
        if not isinstance(node, Dictionary):
            return
        resources = node.get_raw(Name.Resources)
        if isinstance(resources, Dictionary):
            yield resources
