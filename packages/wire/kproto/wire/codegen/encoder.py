"""Writes the encoder of one message at one version.

Layer: wire. The function takes the message, collects its bytes as parts and joins them. Whatever the declaration does
not allow raises: `struct` and the tables refuse by themselves, the rest is tested.
"""

from __future__ import annotations

from typing import Any, Final

from construct import Construct

from kproto.wire.codegen import runtime
from kproto.wire.codegen.source import Function, Module
from kproto.wire.compounds import ArrayOf, Fields, NullableFields, TaggedFields
from kproto.wire.field import Field
from kproto.wire.primitives import Blob, CompactLength, Fixed, FixedLength, Flag, Text, UuidBytes
from kproto.wire.varint import UNSIGNED_VARINT_TABLE

__all__ = ["encoder_source"]

NULL_COMPACT: Final = b"\0"
NO_TAGGED_FIELDS: Final = b"\0"
TABLE_SIZE: Final = len(UNSIGNED_VARINT_TABLE)


def encoder_source(fields: Fields, version: int) -> tuple[str, dict[str, Any]]:
    """The source of `codec(message, join)`, and the scope to execute it in. join: of the parts, bytes if not given."""
    module = Module(
        Refused=runtime.Refused,
        FLAGS=runtime.FLAGS,
        VARINTS=UNSIGNED_VARINT_TABLE,
        varint=runtime.varint,
        string_length=runtime.compact_string_length,
        as_buffer=runtime.as_buffer,
        join_tags=runtime.join_tags,
        join=b"".join,
    )
    function = module.function("codec", "message", "join=join")
    function.line("parts = []")
    writer = _Writer(function, version)
    writer.struct(fields, "message")
    writer.flush()
    function.line("return join(parts)")
    return module.text, module.scope


class _Writer:
    """Writes the packing of values into one function.

    Fixed fields wait in `fixed` to be packed together; the expressions of parts wait in `parts` to be added together.
    """

    def __init__(self, function: Function, version: int) -> None:
        self.function = function
        self.module = function.module
        self.version = version
        self.fixed: list[tuple[str, str]] = []  # struct format, expression
        self.parts: list[str] = []

    def pack(self) -> None:
        """Turn the waiting fixed fields into one part."""
        if self.fixed:
            formats, expressions = zip(*self.fixed, strict=True)
            self.fixed.clear()
            self.parts.append(f"{self.module.bind_struct('pack', ''.join(formats))}({', '.join(expressions)})")

    def part(self, *expressions: str) -> None:
        self.pack()
        self.parts += expressions

    def flush(self) -> None:
        """Write the statement that adds all waiting parts; needed before any change of control flow."""
        self.pack()
        if self.parts:
            self.function.line(f"parts += ({', '.join(self.parts)},)")
            self.parts.clear()

    def value(self, construct: Construct, expression: str, stem: str) -> None:
        """Write what packs the value of an expression as this construct; names made for it begin with `stem`."""
        match construct:
            case Flag():
                self.fixed.append(("B", f"FLAGS[{expression}]"))
            case Fixed():
                self.fixed.append((construct.fmtstr[1:], expression))
            case UuidBytes():
                self.part(f"{expression}.bytes")
            case Text() | Blob():
                self.length_prefixed(construct, expression, stem)
            case ArrayOf():
                self.array(construct, expression, stem)
            case NullableFields():
                self.nullable_struct(construct, expression, stem)
            case Fields():
                self.checked_struct(construct, expression, stem)
            case _:
                raise TypeError(f"no rule to encode {construct!r}")

    def length_prefixed(self, construct: Text | Blob, expression: str, stem: str) -> None:
        name = self.module.fresh(stem)
        line = self.function.line
        line(f"{name} = {expression}")
        if not construct.nullable:
            self.raw(construct, name)
            self.length(construct.length, f"len({name})", "string_length" if isinstance(construct, Text) else "varint")
            self.part(name)
            return
        with self.function.block(f"if {name} is None"):
            line(f"{name} = b''")
            line(f"{name}_head = {self.null(construct.length)}")
        with self.function.block("else"):
            self.raw(construct, name)
            head = self.length_bytes(
                construct.length, f"len({name})", "string_length" if isinstance(construct, Text) else "varint"
            )
            line(f"{name}_head = {head}")
        self.part(f"{name}_head", name)

    def raw(self, construct: Text | Blob, name: str) -> None:
        if isinstance(construct, Text):
            self.function.line(f"{name} = {name}.encode()")
        else:
            with self.function.block(f"if {name}.__class__ is not bytes"):
                self.function.line(f"{name} = as_buffer({name})")

    def length(self, length: FixedLength | CompactLength, count: str, long_length: str = "varint") -> None:
        """Add a length or count, together with the fixed fields before it where it is fixed too."""
        if isinstance(length, FixedLength):
            self.fixed.append((length.fixed.fmtstr[1:], count))
        else:
            self.part(self.length_bytes(length, count, long_length))

    def length_bytes(self, length: FixedLength | CompactLength, count: str, long_length: str = "varint") -> str:
        if isinstance(length, FixedLength):
            return f"{self.module.bind_struct('pack', length.fixed.fmtstr[1:])}({count})"
        name = self.module.fresh("length")
        self.function.line(f"{name} = {count} + 1")
        return f"VARINTS[{name}] if {name} < {TABLE_SIZE} else {long_length}({name})"

    def null(self, length: FixedLength | CompactLength) -> str:
        null = NULL_COMPACT if isinstance(length, CompactLength) else b"\xff" * int(length.fixed.length)
        return repr(null)

    def array(self, construct: ArrayOf, expression: str, stem: str) -> None:
        name = self.module.fresh(stem)
        self.function.line(f"{name} = {expression}")
        if not construct.nullable:
            self.length(construct.length, f"len({name})")
            self.elements(construct.subcon, name)
            return
        self.flush()
        with self.function.block(f"if {name} is None"):
            self.function.line(f"parts.append({self.null(construct.length)})")
        with self.function.block("else"):
            self.length(construct.length, f"len({name})")
            self.elements(construct.subcon, name)
            self.flush()

    def elements(self, element: Construct, name: str) -> None:
        if isinstance(element, Fixed) and not isinstance(element, Flag):
            fmt = element.fmtstr[1:]
            packers = f"packers_{fmt}"
            self.module.scope.setdefault(packers, runtime.Packers(fmt))
            self.part(f"{packers}[len({name})](*{name})")
            return
        self.flush()
        each = self.module.fresh("element")
        with self.function.block(f"for {each} in {name}"):
            self.value(element, each, "element")
            self.flush()

    def nullable_struct(self, construct: NullableFields, expression: str, stem: str) -> None:
        self.flush()
        name = self.module.fresh(stem)
        self.function.line(f"{name} = {expression}")
        with self.function.block(f"if {name} is None"):
            self.function.line(r"parts.append(b'\xff')")
        with self.function.block("else"):
            self.part(r"b'\x01'")
            self.checked_struct(construct.subcon, name, stem)
            self.flush()

    def checked_struct(self, fields: Fields, expression: str, stem: str) -> None:
        name = expression
        if not name.isidentifier():
            name = self.module.fresh(stem)
            self.function.line(f"{name} = {expression}")
        with self.function.block(f"if {name}.__class__ is not {self.module.bind('struct', fields.owner)}"):
            self.function.line("raise Refused")
        self.struct(fields, name)

    def struct(self, fields: Fields, name: str) -> None:
        owner: Any = fields.owner
        for field in owner.fields:
            if self.version not in field.versions and not field.ignorable:
                with self.function.block(f"if {self.differs(field, name)}"):
                    self.function.line("raise Refused")
        for subcon in fields.subcons:
            if isinstance(subcon.subcon, TaggedFields):
                self.tagged_fields(owner, subcon.subcon, name)
                return
            self.value(subcon.subcon, f"{name}.{subcon.name}", subcon.name)
        with self.function.block(f"if {name}.unknown_tags"):
            self.function.line("raise Refused")

    def differs(self, field: Field, name: str) -> str:
        """The condition that a field's value is not its default; identity first, because it mostly is."""
        default = self.module.bind("default", field.default)
        value = f"{name}.{field.name}"
        return f"{value} is not {default} and {value} != {default}"

    def tagged_fields(self, owner: Any, tags: TaggedFields, name: str) -> None:
        tagged = {subcon.name for subcon in tags.known.values()}
        tests = [f"{name}.unknown_tags", *(f"({self.differs(f, name)})" for f in owner.fields if f.name in tagged)]
        some = f"{self.tags_function(owner, tags)}({name})" if tagged else f"join_tags({name}.unknown_tags)"
        self.part(f"{some} if {' or '.join(tests)} else {NO_TAGGED_FIELDS!r}")

    def tags_function(self, owner: Any, tags: TaggedFields) -> str:
        """A function of its own: tags are rare, and it keeps the code above short."""
        name = self.module.fresh("tags")
        function = self.module.function(name, "struct")
        function.line("entries = dict(struct.unknown_tags)")
        fields = {field.name: field for field in owner.fields}
        for tag, subcon in tags.known.items():
            with function.block(f"if {tag} in entries"):
                function.line("raise Refused")
            with function.block(f"if {self.differs(fields[subcon.name], 'struct')}"):
                function.line("parts = []")
                writer = _Writer(function, self.version)
                writer.value(subcon.subcon, f"struct.{subcon.name}", subcon.name)
                writer.flush()
                function.line(f"entries[{tag}] = join(parts)")
        function.line("return join_tags(entries)")
        return name
