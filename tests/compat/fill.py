"""Arguments for any call, from its annotations: what a call needs to get as far as its request, not what it means."""

import collections.abc
import datetime
import enum
import inspect
import types
import typing

import pydantic


async def one_chunk():
    yield b"x"


def value(of, depth=0):
    """Some value of a type."""
    origin, inner = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Literal:
        return inner[0]
    if origin in (typing.Union, types.UnionType):
        return value(inner[0], depth)
    if origin is typing.Annotated:
        return value(inner[0], depth)
    if origin in (list, collections.abc.Sequence):
        return [value(inner[0], depth + 1)] if inner and depth < 4 else []
    if origin in (collections.abc.AsyncIterable, collections.abc.AsyncIterator):
        return one_chunk()
    if origin is collections.abc.Callable:
        return lambda *_, **__: None
    if origin is dict or of in (dict, typing.Any, any):
        return {}
    if of is inspect.Parameter.empty or of is str:
        return "x"
    if of in (int, float):
        return 1
    if of is bool:
        return False
    if of is bytes:
        return b"x"
    if of is datetime.datetime:
        return datetime.datetime.now(datetime.timezone.utc)
    if inspect.isclass(of) and issubclass(of, enum.Enum):
        return next(iter(of))
    if inspect.isclass(of) and issubclass(of, pydantic.BaseModel):
        needed = {name: field for name, field in of.model_fields.items() if field.is_required()}
        return of.model_construct(**{name: value(field.annotation, depth + 1) for name, field in needed.items()})
    if inspect.isclass(of) and of.__module__.startswith("pyarrow"):
        return arrow(of.__name__)
    if inspect.isabstract(of):
        return value(of.__subclasses__()[0], depth)
    if inspect.isclass(of):
        return of(**arguments(of.__init__, {}))
    return "x"


def arrow(name):
    import pyarrow

    table = pyarrow.table({"x": [1]})
    return {"Schema": table.schema, "RecordBatch": table.to_batches()[0]}.get(name, table)


def arguments(function, known):
    """What `function` must be given: `known` by name, the rest made up."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # Some annotations of the package name what it does not import.
        hints = {}
    given = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in known:
            given[name] = known[name]
        elif parameter.default is parameter.empty:
            given[name] = value(hints.get(name, parameter.annotation))
    return given
