"""What takes processes of its own: races, forks, kills, and installations without the extras."""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial

import pyarrow.parquet as pq
import pytest

from stamp_service.demo import demo_alerts
from stamp_service.lake.building import build_index
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.writing import AlertRef, write_lake
from stamp_service.packets import open_alert
from stamp_service.stores import LocalStore
from stamp_service.surveys import KINDS
from tests.conftest import ROOT
from tests.contracts.packed import stored_once
from tests.unit.lake.parquet_samples import open_file, write, ztf_table

RACE = """
import json, sys, time
from pathlib import Path
from stamp_service.errors import PacketConflict
from stamp_service.stores import LocalStore
from stamp_service.surveys import load_surveys
root, own, start = Path(sys.argv[1]), sys.argv[2].encode(), float(sys.argv[3])
store, ztf = LocalStore(root, 1000), load_surveys()["ztf"]
time.sleep(max(0.0, start - time.time()))
outcomes = []
for number in range(60):
    try:
        outcomes.append(store.put(ztf, str(1000 + number), own))
    except PacketConflict:
        outcomes.append("conflict")
print(json.dumps(outcomes))
"""


def test_of_two_processes_exactly_one_wins_each_alert(tmp_path, surveys):
    store = LocalStore(tmp_path, 1000)
    start = str(time.time() + 1.5)
    names = ["first", "second", "third"]
    processes = [
        subprocess.Popen([sys.executable, "-c", RACE, tmp_path, name, start], stdout=subprocess.PIPE)
        for name in names
    ]
    outcomes = {name: json.loads(p.communicate(timeout=60)[0]) for name, p in zip(names, processes, strict=True)}
    for number in range(60):
        winners = [name for name in names if outcomes[name][number] is True]
        assert len(winners) == 1
        assert [outcomes[name][number] for name in names if name not in winners] == ["conflict"] * 2
        assert store.get(surveys["ztf"], str(1000 + number)) == winners[0].encode()


KILLED_PUTTING = """
import os, signal, sys
from pathlib import Path
from stamp_service.stores import LocalStore
from stamp_service.surveys import load_surveys
store, ztf = LocalStore(Path(sys.argv[1]), 1000), load_surveys()["ztf"]
for number in range(20):
    store.put(ztf, str(1000 + number), b"packet")
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path, surveys):
    done = subprocess.run(
        [sys.executable, "-c", KILLED_PUTTING, tmp_path], capture_output=True, timeout=60, check=False
    )
    acknowledged = done.stdout.split()
    assert len(acknowledged) == 20
    store = LocalStore(tmp_path, 1000)
    for number in range(20):
        assert store.get(surveys["ztf"], str(1000 + number)) == b"packet"


PACKING = """
import os, sys
from pathlib import Path
from stamp_service.stores.packed import PackedStore
from stamp_service.surveys import load_surveys
survey = load_surveys()["ztf"]
store = PackedStore(Path(sys.argv[1]), schemas=None, max_packet_bytes=1000, pack_bytes=1)
store.put(survey, "1", b"of the parent")
child = os.fork()
if child == 0:
    assert store.get(survey, "1") == b"of the parent"
    assert store.put(survey, "2", b"of the child")
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert store.get(survey, "2") == b"of the child"
store.close()
"""


def test_a_packed_store_works_in_processes_that_were_forked_from_one_that_uses_it(tmp_path):
    subprocess.run([sys.executable, "-c", PACKING, tmp_path], check=True, timeout=30)
    # One of the packs may still be in the spool, if both wanted to take theirs to its place at the same time.
    assert stored_once(tmp_path) == {"1", "2"}


WITHOUT_THE_EXTRA = """
import sys
from pathlib import Path
for name in ("fsspec", "hdfs_native", "numba", "pyarrow", "thriftpy2"):
    sys.modules[name] = None
from stamp_service.errors import ConfigurationError
from stamp_service.lake.building import build_index, scan_file
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.reading import read_cutouts
from stamp_service.lake.side_index import SideIndex
from stamp_service.surveys import load_surveys
path = Path(sys.argv[1])
files = LocalFiles(path.parent)
index = SideIndex.load(path.with_suffix(".index"))
cutouts, tier = read_cutouts(files, path.name, index, 2, ["science"])
print(tier, len(cutouts["science"]))
for make in (build_index, scan_file):
    try:
        make(files, path.name, index.version, load_surveys()["ztf"])
    except ConfigurationError as error:
        print("stamp-service[lake]" in str(error))
"""


@pytest.mark.parametrize(("compression", "tier"), [("snappy", "fragment"), ("zstd", "page")])
def test_indexed_files_are_read_without_the_extra(tmp_path, surveys, compression, tier):
    path = tmp_path / "sample.parquet"
    source = random.Random(7)
    cutouts = {kind: [source.randbytes(3000) + bytes(2000) for _ in range(30)] for kind in KINDS}
    write(path, ztf_table(cutouts), compression=compression)
    path.with_suffix(".index").write_bytes(build_index(*open_file(path, surveys, "ztf")).dump())
    command = [sys.executable, "-c", WITHOUT_THE_EXTRA, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert run.stdout.split() == [tier, "5000", "True", "True"]


KILLED_WRITING = """
import sys
from functools import partial
from pathlib import Path
from stamp_service.demo import demo_alerts
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.writing import AlertRef, write_lake
from stamp_service.packets import open_alert
from stamp_service.surveys import load_surveys
survey = load_surveys()["ztf"]
demo = demo_alerts("ztf")
refs = [AlertRef.of(open_alert(survey, a.alert_id, a.packet), partial(bytes, a.packet)) for a in demo]
for path in write_lake(LocalFiles(Path(sys.argv[1])), refs, survey, rows_per_file=1):
    print(path, flush=True)
"""


def ids_in(root):
    """Read which alerts are in a lake of ZTF's, in every file."""
    tables = [pq.read_table(root / path, partitioning=None) for path, _ in LocalFiles(root).walk()]
    return sorted(str(row["candid"]) for table in tables for row in table.to_pylist())


def test_a_kill_in_the_middle_leaves_nothing_half_and_the_next_run_goes_on(surveys, tmp_path):
    root = tmp_path / "lake"
    root.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITING, str(root)],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert all(first)
    left = ids_in(root)
    assert len(left) >= 3
    survey = surveys["ztf"]
    demo = list(demo_alerts("ztf"))
    refs = [AlertRef.of(open_alert(survey, a.alert_id, a.packet), partial(bytes, a.packet)) for a in demo]
    states = Counter()

    def count(_, state, __):
        states[state] += 1

    list(write_lake(LocalFiles(root), refs, survey, rows_per_file=1, report=count))
    assert states["present"] == len(left)
    assert states.total() == len(demo)
    assert ids_in(root) == sorted(alert.alert_id for alert in demo)


def test_local_disk_and_s3_need_no_extra_package():
    """In a process of its own, because others may have imported them here."""
    code = """
import sys
from stamp_service.lake.opening import LakeAccess, open_filesystem
for url in ("/lake", "s3://bucket/lake"):
    open_filesystem(url, LakeAccess()).close()
print(sorted({"fsspec", "hdfs_native", "numba", "pyarrow", "thriftpy2"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert run.stdout.strip() == b"[]"


FORKED_WHILE_LOCKED = """
import os
from stamp_service.remote.processes import PerProcess
value = PerProcess(os.getpid)
assert value() == os.getpid()
with value._lock:
    child = os.fork()
    if child == 0:
        os._exit(7 if value() == os.getpid() and value.take() == os.getpid() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert value() == os.getpid()
"""


def test_a_value_is_made_anew_in_a_process_that_was_forked_while_its_lock_was_held():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED_WHILE_LOCKED], check=True, timeout=30)


def test_a_temporary_metrics_folder_goes_with_the_process_that_made_it(tmp_path):
    code = (
        "import os, sys\n"
        "from stamp_service.server import prepare_metrics_dir\n"
        "folder = prepare_metrics_dir(None)\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(folder.is_dir(), folder)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    there, _, folder = done.stdout.strip().partition(" ")
    assert there == "True", "a worker that ends must leave it"
    assert folder.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


ARENAS = """
import ctypes, sys, threading
from stamp_service.server import limit_arenas
if sys.argv[1] == "limited":
    limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
all_at_once = threading.Barrier(12)
def allocate():
    all_at_once.wait()
    for _ in range(100):
        libc.malloc(2000)
    all_at_once.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
output = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, output)
libc.fflush(output)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_threads_share_two_arenas():
    def arenas(how):
        command = [sys.executable, "-c", ARENAS, how]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return told.count("<heap nr=")

    assert arenas("limited") <= 2 < arenas("unlimited")
