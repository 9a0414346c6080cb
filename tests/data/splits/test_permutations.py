import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semiseg.config.data import DataConfig
from semiseg.config.read import Config
from semiseg.data.run_data import open_run_data
from semiseg.data.splits.lists import read_list
from semiseg.data.splits.permutations import read_permutation
from semiseg.errors import UsageError

ORDER = np.array([2, 0, 3, 1])
NUMBERS = ORDER.astype("<i8").tobytes()
# Written by Python 2.7 and NumPy 1.16 (pickle and cPickle), as the authors' tools were.
PYTHON_2 = [
    b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n(I4\ntp6\n"
    b"cnumpy\ndtype\np7\n(S'i8'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\nS'"
    + b"".join(b"\\x%02x" % byte for byte in NUMBERS)
    + b"'\np13\ntp14\nb.",
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x04\x85"
    b"cnumpy\ndtype\nq\x04U\x02i8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U "
    + NUMBERS
    + b"tb.",
]
# Written by Python 3.8 and NumPy 1.24, protocol 4.
NUMPY_1 = (
    b"\x80\x04\x95\xa8\x00\x00\x00\x00\x00\x00\x00\x8c\x15numpy.core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c"
    b"\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x04\x85\x94h\x03\x8c\x05dtype"
    b"\x94\x93\x94\x8c\x02i8\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b"
    b"\x89C " + NUMBERS + b"\x94t\x94b."
)


def read(tmp_path: Path, content: bytes, count: int = 4, name: str = "split.pkl") -> np.ndarray:
    (tmp_path / name).write_bytes(content)
    return read_permutation(tmp_path / name, count)


@pytest.mark.parametrize("content", [*PYTHON_2, NUMPY_1], ids=["pickle 2.7", "cPickle 2.7", "NumPy 1"])
def test_files_of_older_versions(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content).tolist() == ORDER.tolist()


def test_bytes_above_127_that_python_2_wrote(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(300).astype("<i8")
    content = PYTHON_2[1].replace(b"K\x04\x85", b"M\x2c\x01\x85")  # 300 numbers …
    content = content.replace(b"U " + NUMBERS, b"T\x60\x09\x00\x00" + order.tobytes())  # … in 2400 bytes
    assert read(tmp_path, content, 300).tolist() == order.tolist()


@pytest.mark.parametrize("kind", ["<i8", ">i8", "<i4", "<u2", "u1", "i1"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_files_of_this_version(tmp_path: Path, protocol: int, kind: str) -> None:
    order = read(tmp_path, pickle.dumps(ORDER.astype(kind), protocol))
    assert order.dtype == np.int64 and order.tolist() == ORDER.tolist()
    long = np.random.default_rng(0).permutation(100).astype(kind)
    assert read(tmp_path, pickle.dumps(long, protocol), 100).tolist() == long.tolist()


def test_npy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ORDER.astype(np.int32))
    assert read_permutation(tmp_path / "a.npy", 4).tolist() == ORDER.tolist()
    np.save(tmp_path / "b.npy", np.array([Trap("touch")], object), allow_pickle=True)
    with pytest.raises(UsageError, match="is not a NumPy integer array"):
        read_permutation(tmp_path / "b.npy", 1)
    assert not CALLED


CALLED: list[str] = []


def touch(text: str) -> None:
    CALLED.append(text)


class Trap:
    """Unpickled in the ordinary way, this calls ``function``."""

    def __init__(self, function: str, argument: Any = "x") -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> Any:
        functions = {"touch": touch, "system": os.system, "eval": eval, "exec": exec, "open": io.open}
        return functions[self.function], (self.argument,)


def hostile(tmp_path: Path) -> dict[str, bytes]:
    mark = tmp_path / "executed"
    shell, code = f"touch {mark}", f"open({str(mark)!r}, 'w')"
    system = b"cos\nsystem\n" + f"(S'{shell}'\ntR.".encode()
    array = pickle.dumps(ORDER, 2)
    return {
        "os.system": pickle.dumps(Trap("system", shell)),
        "posix.system by name": b"cposix\nsystem\n" + f"(V{shell}\ntR.".encode(),
        "builtins.eval": pickle.dumps(Trap("eval", code)),
        "builtins.exec": pickle.dumps(Trap("exec", code)),
        "io.open": pickle.dumps(Trap("open", str(mark / "x"))),
        "inst": f"(S'{shell}'\nios\nsystem\n.".encode(),
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0bos.system.x\x93" + f"\x8c{chr(len(shell))}{shell}\x85R.".encode(),
        "numpy's own runner": b"cnumpy.testing._private.utils\nrunstring\n" + f"(V{code}\n}}tR.".encode(),
        "getattr": b"c__builtin__\ngetattr\n(cnumpy\nndarray\nVdumps\ntR.",
        "beside an array": pickle.dumps((ORDER, Trap("system", shell))),
        "before an array": system[:-1] + b"0" + array[2:],
        "in an object array": pickle.dumps(np.array([Trap("eval", code)], object)),
        "state of a type": array.replace(b"cnumpy\ndtype\n", b"cos\nsystem\n"),
        "module of the tests": pickle.dumps(Trap("touch")),
    }


@pytest.mark.parametrize("name", list(hostile(Path("x"))))
def test_hostile_pickles_run_nothing(tmp_path: Path, name: str) -> None:
    content = hostile(tmp_path)[name]
    with pytest.raises(UsageError, match="is not a NumPy integer array and nothing in it was run") as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value) and not (tmp_path / "executed").exists() and not CALLED


def test_the_traps_do_run_in_an_ordinary_reader(tmp_path: Path) -> None:
    for name in ("os.system", "builtins.eval", "builtins.exec", "inst", "in an object array", "before an array"):
        pickle.loads(hostile(tmp_path)[name])
        (tmp_path / "executed").unlink()


def test_names_in_messages_cannot_reach_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, b"c\x1b[2Jos\nsystem" + b"x" * 5000 + b"\n.")
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 500 + len(str(tmp_path))


OTHERS = [
    [2, 0, 3, 1], {"order": ORDER}, (ORDER, ORDER), "2 0 3 1", b"abc", None, 7, set(), np.int64(3), np.dtype("i8"),
    np.ndarray, np.ma.array(ORDER), np.array([None] * 4), *(ORDER.astype(t) for t in ("f8", "c16", "?", "U2", "M8[s]")),
]  # fmt: skip


@pytest.mark.parametrize("value", OTHERS, ids=repr)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_anything_else_is_refused(tmp_path: Path, value: Any, protocol: int) -> None:
    with pytest.raises(UsageError, match="is not a NumPy integer array") as caught:
        read(tmp_path, pickle.dumps(value, protocol))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"junk", NUMPY_1[:-30], b"\x80\x04.", b"cnumpy\nndarray\n.",
                                     NUMPY_1.replace(b"K\x01K\x04\x85", b"K\x01K\x05\x85"),
                                     b"cnumpy.core.numeric\n_frombuffer\n(J\xff\xff\xff\x7fcnumpy\ndtype\n(Vi8\ntR(I4\nt"
                                     b"VC\ntR."])  # fmt: skip
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match="is not a NumPy integer array"):
        read(tmp_path, content)
    with pytest.raises(UsageError, match="is not a NumPy integer array"):
        read(tmp_path, content, name="split.npy")


def test_arrays_that_are_no_permutation_of_the_data_set(tmp_path: Path) -> None:
    for order, count, message in (
        (ORDER, 5, "orders 4 images, the data set has 5 for training"),
        (np.array([1, 2, 3, 4]), 4, r"is not a permutation of 0…3"),
        (np.array([0, 1, 1, 3]), 4, r"is not a permutation of 0…3"),
        (np.array([0, -1, 2, 1]), 4, r"is not a permutation of 0…3"),
        (ORDER.reshape(2, 2), 4, "must hold one row of whole numbers"),
        (np.array(3), 1, "must hold one row of whole numbers"),
    ):
        with pytest.raises(UsageError, match=message):
            read(tmp_path, pickle.dumps(order), count)
    np.save(tmp_path / "a.npy", ORDER.astype(float))
    with pytest.raises(UsageError, match="must hold one row of whole numbers"):
        read_permutation(tmp_path / "a.npy", 4)
    with pytest.raises(UsageError, match=r"no list file .*none\.pkl; give a NumPy permutation"):
        read_permutation(tmp_path / "none.pkl", 4)


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "split.pkl").open("wb") as file:
        file.truncate(65 * 2**20)  # sparse: takes no room
    with pytest.raises(UsageError, match="is too large for a permutation"):
        read_permutation(tmp_path / "split.pkl", 4)


def test_the_first_of_the_permuted_sorted_names_are_labelled(tmp_path: Path) -> None:
    path = tmp_path / "split_0.PKL"
    path.write_bytes(PYTHON_2[1])
    names = ["d", "a", "c", "b"]  # sorted: a b c d
    assert read_list(path, names) == ["c", "a", "d", "b"]
    assert read_list(path, names, "1/2") == ["c", "a"] and read_list(path, names, 3) == ["c", "a", "d"]
    with pytest.raises(UsageError, match="only 4 images"):
        read_list(path, names, 5)


def test_a_permutation_goes_with_a_fraction_and_a_text_list_does_not(folder: Path, tmp_path: Path) -> None:
    masks = sorted(path.stem for path in (folder / "masks").iterdir())
    names = open_run_data(DataConfig(root=str(folder))).train.names
    first = [names.index(name) for name in masks if name in names]
    np.save(tmp_path / "order.npy", np.array(first + [i for i in range(11) if i not in first]))
    words = [f"data.root={folder}", f"data.labelled_list={tmp_path / 'order.npy'}"]
    data = open_run_data(Config.parse({}, [*words, "data.labelled=2/11"]).data)
    assert data.labelled == first[:2] and len(data.unlabelled) == 9
    with pytest.raises(UsageError, match=r"say how many stay labelled, e\.g\. data\.labelled=1/30"):
        Config.parse({}, words)
    with pytest.raises(UsageError, match="exclude each other"):
        Config.parse({}, ["data.labelled_list=order.txt", "data.labelled=2"])
