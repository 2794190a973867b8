"""Sixteen floats side by side as one value inside a numba kernel: what LLVM's loop vectoriser would have to guess.

`Lanes` is LLVM's <16 x float>, `Mask` its <16 x i1>: one AVX-512 register, two of AVX2, four of NEON. Arithmetic and
comparisons work between lanes; a scalar is spread over the lanes by `spread`.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils, extending
from numba.core.extending import lower_builtin, models, register_model  # type: ignore[attr-defined]
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature

intrinsic: Any = extending.intrinsic  # it takes away the first argument, which a type checker does not see
WIDTH = 16
FLAGS = ("contract", "nsz", "arcp")
_FLOAT, _BIT = ir.FloatType(), ir.IntType(1)
_VECTOR, _BITS = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_BIT, WIDTH)


class LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__("lanes")


class MaskType(types.Type):
    def __init__(self) -> None:
        super().__init__("mask")


lanes, mask = LanesType(), MaskType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


@register_model(MaskType)
class MaskModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, _BITS)


def _binary(symbol, operand, result, emit) -> None:
    """Teach numba `operand symbol operand -> result`."""

    @infer_global(symbol)  # type: ignore[misc]
    class Typing(ConcreteTemplate):
        cases: ClassVar = [signature(result, operand, operand)]

    @lower_builtin(symbol, operand, operand)
    def lowering(context, builder, sig, args):
        return emit(builder, *args)


_binary(operator.add, lanes, lanes, lambda b, x, y: b.fadd(x, y, flags=FLAGS))
_binary(operator.sub, lanes, lanes, lambda b, x, y: b.fsub(x, y, flags=FLAGS))
_binary(operator.mul, lanes, lanes, lambda b, x, y: b.fmul(x, y, flags=FLAGS))
_binary(operator.truediv, lanes, lanes, lambda b, x, y: b.fdiv(x, y, flags=FLAGS))
_binary(operator.le, lanes, mask, lambda b, x, y: b.fcmp_ordered("<=", x, y))
_binary(operator.ge, lanes, mask, lambda b, x, y: b.fcmp_ordered(">=", x, y))
_binary(operator.gt, lanes, mask, lambda b, x, y: b.fcmp_ordered(">", x, y))
_binary(operator.and_, mask, mask, lambda b, x, y: b.and_(x, y))


def _vector_of(builder, scalar):
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


def _call(builder, name, result, args):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _address(context, builder, sig, args, element):
    """Pointer to element `index` of a C-contiguous float32 array: no bounds, no wrap-around."""
    array = context.make_array(sig.args[0])(context, builder, args[0])
    pointer = builder.gep(array.data, [args[1]])
    return builder.bitcast(pointer, ir.PointerType(element))


@intrinsic
def spread(typingctx, scalar):
    """The same float in every lane."""

    def codegen(context, builder, sig, args):
        return _vector_of(builder, args[0])

    return lanes(types.float32), codegen


@intrinsic
def load(typingctx, array, index):
    """array[index : index + 16] of a flat float32 array."""

    def codegen(context, builder, sig, args):
        return builder.load(_address(context, builder, sig, args, _VECTOR), align=4)

    return lanes(array, types.uintp), codegen


@intrinsic
def store(typingctx, array, index, value):
    """array[index : index + 16] = value."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], _address(context, builder, sig, args, _VECTOR), align=4)
        return context.get_dummy_value()

    return types.none(array, types.uintp, lanes), codegen


@intrinsic
def select(typingctx, condition, yes, no):
    """yes where condition, else no."""

    def codegen(context, builder, sig, args):
        return builder.select(*args)

    return lanes(mask, lanes, lanes), codegen


@intrinsic
def least(typingctx, x, y):
    """The smaller of each lane; y where they do not compare."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return lanes(lanes, lanes), codegen


@intrinsic
def greatest(typingctx, x, y):
    """The larger of each lane; y where they do not compare."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return lanes(lanes, lanes), codegen


@intrinsic
def magnitude(typingctx, x):
    """|x|."""

    def codegen(context, builder, sig, args):
        return _call(builder, f"llvm.fabs.v{WIDTH}f32", _VECTOR, args)

    return lanes(lanes), codegen


def _halves(builder, a, b, width):
    """Fold two vectors that hold sums of `width` lanes each into one of half that: a's groups first, then b's."""
    kind = ir.VectorType(ir.IntType(32), WIDTH)
    groups = range(0, 2 * WIDTH, width)
    low = [first + i for first in groups for i in range(width // 2)]
    high = [position + width // 2 for position in low]
    return builder.fadd(*(builder.shuffle_vector(a, b, ir.Constant(kind, half)) for half in (low, high)))


@intrinsic
def total_each(typingctx, values):
    """Lane i is the sum over the lanes of values[i], up to sixteen of them: four foldings of all, not four of each."""

    def codegen(context, builder, sig, args):
        vectors = cgutils.unpack_tuple(builder, args[0])
        vectors += [ir.Constant(_VECTOR, None)] * (WIDTH - len(vectors))
        width = WIDTH
        while width > 1:
            vectors = [_halves(builder, a, b, width) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
            width //= 2
        return vectors[0]

    return lanes(values), codegen


@intrinsic
def any_of(typingctx, condition):
    """1 where a lane is set, else 0."""

    def codegen(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.zext(builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0)), ir.IntType(64))

    return types.uint64(mask), codegen


@intrinsic
def lowest_bit(typingctx, bits):
    """Position of the lowest set bit of a uint64 that is not 0."""

    def codegen(context, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(_BIT, 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of array[index]; no wait, no fault."""

    def codegen(context, builder, sig, args):
        pointer = _address(context, builder, sig, args, ir.IntType(8))
        kinds = [ir.Constant(ir.IntType(32), v) for v in (0, 3, 1)]  # read, keep in all levels, data
        function = ir.FunctionType(ir.VoidType(), [pointer.type] + [k.type for k in kinds])
        builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0"), [pointer, *kinds])
        return context.get_dummy_value()

    return types.none(array, types.uintp), codegen
