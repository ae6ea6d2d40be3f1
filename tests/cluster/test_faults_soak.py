"""Hours of load, or half a minute of it: memory, descriptors, and nothing lost."""

import json
import os
import statistics
import subprocess
import time
import unittest

from real_cluster import ROOT, Cluster, need_everything, use_of
from servers import binary

SECONDS = int(60 * float(os.environ.get("SOAK_MINUTES", 0.5)))
N_STREAMS = int(os.environ.get("SOAK_STREAMS", 8))
N_LISTENERS = int(os.environ.get("SOAK_LISTENERS", 4))


def setUpModule():
    need_everything()
    # Nobody builds it for this test alone.
    folder = binary("asr").parent
    if not (folder / "loadgen").is_file():
        raise unittest.SkipTest(f"{folder}/loadgen is not built: cargo build --release -p loadgen")


def slope_mib_per_hour(times, values):
    mean_t, mean_v = statistics.fmean(times), statistics.fmean(values)
    return 3600 * sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values)) / sum((t - mean_t) ** 2 for t in times)


class Soak(unittest.TestCase):
    def test_load_for_a_while(self):
        cluster = Cluster()
        self.addCleanup(cluster.discard)
        cluster.start()
        pids = {name: cluster.pid(name) for name in cluster.table()}
        reports = {name: cluster.folder / f"{name}.json" for name in ("asr", "tts")}
        front = ["--server", f"127.0.0.1:{cluster.port}", "-t", str(SECONDS)]
        loads = {
            "asr": ["asr", *front, "-n", str(N_STREAMS), "--clips-dir", str(ROOT / "tests/fixtures/speech"), "--json", str(reports["asr"])],
            "tts": ["tts", *front, "-n", str(N_LISTENERS), "--sentences", str(ROOT / "tests/baseline/tts_sentences.txt"),
                    "--json", str(reports["tts"])],
        }
        before = {name: use_of(pid) for name, pid in pids.items()}
        running = {name: subprocess.Popen([binary("loadgen"), *it], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                   for name, it in loads.items()}
        began, seen, times = time.monotonic(), {name: [] for name in pids}, []
        while time.monotonic() < began + SECONDS:
            time.sleep(max(0.5, SECONDS / 600))
            times.append(time.monotonic() - began)
            for name, pid in pids.items():
                seen[name].append(use_of(pid))
        output = {name: it.communicate(timeout=120)[0] for name, it in running.items()}
        time.sleep(2)
        after = {name: use_of(pid) for name, pid in pids.items()}
        found = {name: json.loads(it.read_text()) for name, it in reports.items()}
        heard, spoken = found["asr"], found["tts"]
        print(f"\n  {SECONDS} s of {N_STREAMS} streams and {N_LISTENERS} listeners: {heard['utterances']['spoken']} recordings spoken, "
              f"{heard['utterances']['missing']} missing; {spoken['requests']}")
        half = len(times) // 2
        for name in pids:
            slope = slope_mib_per_hour(times[half:], [it[2] for it in seen[name][half:]])
            print(f"    {name}: descriptors {before[name][0]} -> {after[name][0]}, threads {before[name][1]} -> {after[name][1]}, memory "
                  f"{before[name][2]:.1f} -> {after[name][2]:.1f} MiB, {slope:+.1f} MiB/h in the second half")
            self.assertLessEqual(after[name][0], before[name][0] + 8, "descriptors")
            # Some are made with the first session.
            self.assertLessEqual(after[name][1], seen[name][half][1] + 2, "threads")
            # A slope means something only over a time in which caches and arenas have filled.
            if SECONDS >= 1800:
                self.assertLess(slope, 8, name)
            else:
                self.assertLess(seen[name][-1][2] - seen[name][half][2], 32, name)
        for name, it in running.items():
            # It checks the promises of the protocol on the way, and ends with 1 if anything was lost, refused, wrong or unaccounted for.
            self.assertEqual(it.returncode, 0, output[name])


if __name__ == "__main__":
    unittest.main()
