"""Writes the decoder of one message at one version.

Layer: wire. The function reads `buf` from `p` and returns the message and the offset behind it. Locals only: no
context, no stream, no call for a nested struct.
"""

from __future__ import annotations

from struct import calcsize
from types import MappingProxyType
from typing import Any, Final

from construct import Construct

from kproto.wire.codegen import runtime
from kproto.wire.codegen.source import Function, Module
from kproto.wire.compounds import ArrayOf, Fields, NullableFields, TaggedFields
from kproto.wire.field import Field
from kproto.wire.primitives import Blob, CompactLength, Fixed, FixedLength, Text, UuidBytes
from kproto.wire.varint import read_unsigned_varint
from kproto.wire.wire_type import NO_TAGS

__all__ = ["decoder_source"]

UNSIGNED_BYTE: Final = "B"
ONE_BYTE_MAX: Final = 127  # the largest varint of one byte


def decoder_source(fields: Fields) -> tuple[str, dict[str, Any]]:
    """The source of `codec(buf, p)`, and the scope to execute it in."""
    module = Module(
        Refused=runtime.Refused,
        new=object.__new__,
        make_uuid=runtime.make_uuid,
        varint=read_unsigned_varint,
        string_length=runtime.string_length,
        split_tags=runtime.split_tags,
        unknown_tags=runtime.unknown_tags,
        freeze=MappingProxyType,
        NO_TAGS=NO_TAGS,
    )
    function = module.function("codec", "buf", "p")
    writer = _Writer(function)
    message = writer.struct(fields, "message")
    function.line(f"return {message}, p")
    return module.text, module.scope


class _Writer:
    """Writes the reading of constructs into one function; fixed fields wait in `pending` to be read together."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.module = function.module
        self.pending: list[tuple[str, str]] = []  # name, struct format

    def value(self, construct: Construct, stem: str) -> str:
        """Write what reads this construct; the name, beginning with `stem`, that then holds its value."""
        match construct:
            case Fixed():
                return self.fixed(construct.fmtstr[1:], stem)
            case UuidBytes():
                return self.uuid(stem)
            case Text() | Blob():
                return self.length_prefixed(construct, stem)
            case ArrayOf():
                return self.array(construct, stem)
            case NullableFields():
                return self.nullable_struct(construct, stem)
            case Fields():
                return self.struct(construct, stem)
        raise TypeError(f"no rule to decode {construct!r}")

    def fixed(self, fmt: str, stem: str) -> str:
        name = self.module.fresh(stem)
        self.pending.append((name, fmt))
        return name

    def flush(self) -> None:
        """Read all pending fixed fields with one call."""
        if not self.pending:
            return
        names, formats = zip(*self.pending, strict=True)
        self.pending.clear()
        fmt = "".join(formats)
        if fmt == UNSIGNED_BYTE:
            self.function.line(f"{names[0]} = buf[p]")
        else:
            self.function.line(f"{', '.join(names)}, = {self.module.bind_struct('unpack_from', fmt)}(buf, p)")
        self.function.line(f"p += {calcsize('>' + fmt)}")

    def uuid(self, stem: str) -> str:
        self.flush()
        name = self.module.fresh(stem)
        self.function.line(f"{name} = make_uuid(buf[p:p + 16])")
        self.function.line("p += 16")
        return name

    def biased_length(self, stem: str, reader: str = "varint") -> str:
        """A compact length as it stands: 0 for null, else length + 1."""
        name = self.fixed(UNSIGNED_BYTE, stem)
        self.flush()
        with self.function.block(f"if {name} > {ONE_BYTE_MAX}"):
            self.function.line(f"{name}, p = {reader}(buf, p - 1)")
        return name

    def plain_length(self, stem: str, length: FixedLength) -> str:
        name = self.fixed(length.fixed.fmtstr[1:], stem)
        self.flush()
        return name

    def length_prefixed(self, construct: Text | Blob, stem: str) -> str:
        name = self.module.fresh(stem)
        line = self.function.line
        if isinstance(construct.length, CompactLength):
            length = self.biased_length(f"{stem}_size", "string_length" if isinstance(construct, Text) else "varint")
            null, size = f"not {length}", f"{length} - 1"
        else:
            length = self.plain_length(f"{stem}_size", construct.length)
            null, size = f"{length} < 0", length
        if construct.nullable:
            with self.function.block(f"if {null}"):
                self.refuse_odd_null(construct.length, length)
                line(f"{name} = None")
            with self.function.block("else"):
                self.cut(construct, name, size)
        else:
            with self.function.block(f"if {null}"):
                line("raise Refused")
            self.cut(construct, name, size)
        return name

    def cut(self, construct: Text | Blob, name: str, size: str) -> None:
        self.function.line(f"{name}_end = p + {size}")
        self.function.line(f"{name} = buf[p:{name}_end]" + (".decode()" if isinstance(construct, Text) else ""))
        self.function.line(f"p = {name}_end")

    def refuse_odd_null(self, length: FixedLength | CompactLength, name: str) -> None:
        """A length below -1, which only the older form can hold."""
        if isinstance(length, FixedLength):
            with self.function.block(f"if {name} != -1"):
                self.function.line("raise Refused")

    def array(self, construct: ArrayOf, stem: str) -> str:
        name = self.module.fresh(stem)
        if isinstance(construct.length, CompactLength):
            count, empty = self.biased_length(f"{stem}_count"), 1
        else:
            count, empty = self.plain_length(f"{stem}_count", construct.length), 0
        with self.function.block(f"if {count} > {empty}"):
            self.elements(construct.subcon, name, f"{count} - 1" if empty else count)
        with self.function.block(f"elif {count} == {empty}"):
            self.function.line(f"{name} = ()")
        with self.function.block("else"):
            if construct.nullable:
                self.refuse_odd_null(construct.length, count)
                self.function.line(f"{name} = None")
            else:
                self.function.line("raise Refused")
        return name

    def elements(self, element: Construct, name: str, count: str) -> None:
        """Write what reads one element or more."""
        line = self.function.line
        if isinstance(element, Fixed):
            fmt = element.fmtstr[1:]
            unpackers = f"unpackers_{fmt}".replace("?", "o")
            self.module.scope.setdefault(unpackers, runtime.Unpackers(fmt))
            line(f"{name} = {unpackers}[{count}](buf, p)")
            line(f"p += ({count}) * {element.length}")
            return
        if isinstance(element, Fields) and not element.subcons:
            with self.function.block(f"if {count} > len(buf) - p"):  # elements of no bytes end no loop
                line("raise Refused")
        line(f"{name} = []")
        line(f"{name}_append = {name}.append")
        with self.function.block(f"for _ in range({count})"):
            value = self.value(element, "element")
            self.flush()
            line(f"{name}_append({value})")
        line(f"{name} = tuple({name})")

    def nullable_struct(self, construct: NullableFields, stem: str) -> str:
        name = self.module.fresh(stem)
        marker = self.fixed("b", f"{stem}_marker")
        self.flush()
        with self.function.block(f"if {marker} == 1"):
            self.function.line(f"{name} = {self.struct(construct.subcon, stem)}")
        with self.function.block(f"elif {marker} == -1"):
            self.function.line(f"{name} = None")
        with self.function.block("else"):
            self.function.line("raise Refused")
        return name

    def struct(self, fields: Fields, stem: str) -> str:
        owner: Any = fields.owner
        values: dict[str, str] = {}
        tags: TaggedFields | None = None
        for subcon in fields.subcons:
            if isinstance(subcon.subcon, TaggedFields):
                tags = subcon.subcon
            else:
                values[subcon.name] = self.value(subcon.subcon, subcon.name)
        tag_count = None if tags is None else self.fixed(UNSIGNED_BYTE, "tag_count")
        self.flush()
        name = self.module.fresh(stem)
        line = self.function.line
        line(f"{name} = {self.module.bind('draft', owner.draft)}()")
        tagged = {subcon.name for subcon in tags.known.values()} if tags else set()
        for field in owner.fields:
            if field.name not in tagged:
                line(f"{name}.{field.name} = {values.get(field.name) or self.default(field)}")
        defaults = [f"{name}.{field.name} = {self.default(field)}" for field in owner.fields if field.name in tagged]
        if tags is None:
            line(f"{name}.unknown_tags = NO_TAGS")
        else:
            self.tagged_fields(owner, tags, name, f"{tag_count}", defaults)
        line(f"{name}.__class__ = {self.module.bind('struct', owner)}")
        return name

    def default(self, field: Field) -> str:
        return self.module.bind("default", field.default)

    def tagged_fields(self, owner: Any, tags: TaggedFields, name: str, count: str, defaults: list[str]) -> None:
        line = self.function.line
        for default in defaults:
            line(default)
        with self.function.block(f"if {count}"):
            if tags.known:
                line(f"p = {self.tags_function(tags)}(buf, p - 1, {name})")
            else:
                line(f"{name}.unknown_tags, p = unknown_tags(buf, p - 1)")
        with self.function.block("else"):
            line(f"{name}.unknown_tags = NO_TAGS")

    def tags_function(self, tags: TaggedFields) -> str:
        """A function of its own: tags are rare, and it keeps the loop above short."""
        name = self.module.fresh("tags")
        function = self.module.function(name, "buf", "p", "struct")
        function.line("unknown = {}")
        function.line("entries, behind = split_tags(buf, p)")
        with function.block("for tag, p, stop in entries"):
            for index, (tag, subcon) in enumerate(tags.known.items()):
                with function.block(f"{'elif' if index else 'if'} tag == {tag}"):
                    writer = _Writer(function)
                    value = writer.value(subcon.subcon, subcon.name)
                    writer.flush()
                    with function.block("if p != stop"):
                        function.line("raise Refused")
                    function.line(f"struct.{subcon.name} = {value}")
            with function.block("else"):
                function.line("unknown[tag] = buf[p:stop]")
        function.line("struct.unknown_tags = freeze(unknown) if unknown else NO_TAGS")
        function.line("return behind")
        return name
