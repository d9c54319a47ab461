"""Eight numbers in single precision as one value, for loops that compilers do not vectorise well.

In a compiled function a value of this type is one LLVM vector: it stays in whatever registers the
processor has (one of 32 bytes with AVX, two of 16 with NEON). Numba alone keeps eight sums apart,
and its vectoriser then moves them between lanes at each step: half as fast (measured).
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from orimap.tasks.stream.sizes import FITS_ABREAST

_VECTOR = ir.VectorType(ir.FloatType(), FITS_ABREAST)
# Arrays begin at any multiple of what they hold.
_ALIGNMENT = np.dtype(np.float32).itemsize


class _Lanes(types.Type):
    """Numba's name for the vector."""

    def __init__(self) -> None:
        super().__init__(name="orimap.Lanes")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    """A variable of the type is the vector itself."""

    def __init__(self, manager: Any, numba_type: _Lanes) -> None:
        super().__init__(manager, numba_type, _VECTOR)


_LANES = _Lanes()


@intrinsic
def no_electrons(_context: Any) -> tuple:
    """Return zero in every lane."""

    def build(_target: Any, _builder: Any, _signature: Any, _arguments: Any) -> ir.Constant:
        return ir.Constant(_VECTOR, None)

    return _LANES(), build


@intrinsic
def load(_context: Any, array: types.Array, place: types.Integer) -> tuple | None:
    """Return what ``array``, float32 and contiguous, holds from an element on; not checked."""

    def build(target: Any, builder: Any, signature: Any, arguments: Any) -> ir.Instruction:
        found = builder.load(_pointer(target, builder, signature.args[0], *arguments))
        found.align = _ALIGNMENT
        return found

    return (_LANES(array, types.uintp), build) if _is_plain(array) else None


@intrinsic
def store(_context: Any, array: types.Array, place: types.Integer, lanes: _Lanes) -> tuple | None:
    """Put lanes into ``array``, float32 and contiguous, from an element on; not checked."""

    def build(target: Any, builder: Any, signature: Any, arguments: Any) -> ir.Constant:
        pointer = _pointer(target, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer).align = _ALIGNMENT
        return target.get_dummy_value()

    return (types.void(array, types.uintp, _LANES), build) if _is_plain(array) else None


@intrinsic
def add_product(_context: Any, total: _Lanes, left: _Lanes, right: _Lanes) -> tuple:
    """Return total + left * right, rounded once where the processor can."""

    def build(_target: Any, builder: Any, _signature: Any, arguments: Any) -> ir.Instruction:
        total, left, right = arguments
        product = builder.fmul(left, right, flags=("contract",))
        return builder.fadd(total, product, flags=("contract",))

    return _LANES(_LANES, _LANES, _LANES), build


def _is_plain(array: types.Type) -> bool:
    return isinstance(array, types.Array) and array.dtype == numba.float32 and array.layout == "C"


def _pointer(
    target: Any, builder: Any, kind: types.Array, array: ir.Value, place: ir.Value
) -> ir.Instruction:
    """Return where in memory an element of an array is, as the place of a vector."""
    data = target.make_array(kind)(target, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())
