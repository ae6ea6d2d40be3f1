"""Hours of load, or half a minute of it: memory, descriptors, how long answers take, and nothing lost."""

import json
import os
import statistics
import subprocess
import time
import unittest

from real_cluster import ROOT, Cluster, need_everything, use_of
from servers import binary

SECONDS = int(60 * float(os.environ.get("SOAK_MINUTES", 0.4)))
N_STREAMS = int(os.environ.get("SOAK_STREAMS", 8))
N_LISTENERS = int(os.environ.get("SOAK_LISTENERS", 4))
# Everybody hangs up between two parts, and each is timed by itself.
N_PARTS = 4 if SECONDS >= 240 else 2
# A slope, and what becomes of latencies, mean something only over a time in which caches and arenas have filled.
IS_LONG = SECONDS >= 1800
# What is timed of each service, and what it is called.
TIMED = {"asr": ("end_to_final", "the final"), "tts": ("first_chunk", "the first sound")}


def setUpModule():
    need_everything()
    # Nobody builds it for this test alone.
    folder = binary("asr").parent
    if not (folder / "loadgen").is_file():
        message = f"{folder}/loadgen is not built: cargo build --release -p loadgen"
        if os.environ.get("CI") == "true":
            raise AssertionError(message)
        raise unittest.SkipTest(message)


def slope_mib_per_hour(times, values):
    mean_t, mean_v = statistics.fmean(times), statistics.fmean(values)
    return 3600 * sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values)) / sum((t - mean_t) ** 2 for t in times)


def p95_of(part, name):
    return part[name]["latency"][TIMED[name][0]]["p95_ms"]


class Soak(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.cluster.start()

    def part(self, part, seed, look):
        """One part of the load on both services. `look` is called again and again meanwhile."""
        front = ["--server", f"127.0.0.1:{self.cluster.port}", "-t", str(SECONDS // N_PARTS), "--seed", str(seed)]
        reports = {name: self.cluster.folder / f"{name}-{part}.json" for name in ("asr", "tts")}
        loads = {
            "asr": ["asr", *front, "-n", str(N_STREAMS), "--clips-dir", str(ROOT / "tests/fixtures/speech"), "--json", str(reports["asr"])],
            "tts": ["tts", *front, "-n", str(N_LISTENERS), "--sentences", str(ROOT / "tests/baseline/tts_sentences.txt"),
                    "--json", str(reports["tts"])],
        }
        logs = {name: open(self.cluster.folder / f"{name}-{part}.txt", "w+") for name in loads}
        running = {name: subprocess.Popen([binary("loadgen"), *it], stdout=logs[name], stderr=subprocess.STDOUT) for name, it in loads.items()}
        for it in running.values():
            self.addCleanup(it.wait)
            self.addCleanup(it.kill)
        began = time.monotonic()
        while any(it.poll() is None for it in running.values()):
            self.assertLess(time.monotonic() - began, SECONDS // N_PARTS + 120)
            time.sleep(max(0.5, SECONDS / 600))
            look()
        for name, it in running.items():
            with logs[name] as log:
                log.seek(0)
                # It checks the promises of the protocol on the way, and ends with 1 if anything was lost, refused, wrong or unaccounted for.
                self.assertEqual(it.returncode, 0, log.read())
        return {name: json.loads(it.read_text()) for name, it in reports.items()}

    def test_load_for_a_while(self):
        pids = {name: self.cluster.pid(name) for name in self.cluster.table()}
        before = {name: use_of(pid) for name, pid in pids.items()}
        began, seen, times = time.monotonic(), {name: [] for name in pids}, []

        def look():
            times.append(time.monotonic() - began)
            for name, pid in pids.items():
                seen[name].append(use_of(pid))

        parts = [self.part(str(nth), nth, look) for nth in range(1, N_PARTS + 1)]
        time.sleep(2)
        after = {name: use_of(pid) for name, pid in pids.items()}
        heard, spoken = [it["asr"]["utterances"] for it in parts], [it["tts"]["requests"] for it in parts]
        print(f"\n  {SECONDS} s of {N_STREAMS} streams and {N_LISTENERS} listeners: {sum(it['spoken'] for it in heard)} recordings spoken, "
              f"{sum(it['missing'] for it in heard)} missing; {sum(it['asked'] for it in spoken)} sentences, "
              f"{sum(it['failed'] + it['abandoned'] for it in spoken)} not spoken to the end")
        p95 = {name: [p95_of(part, name) for part in parts] for name in TIMED}
        for name, found in p95.items():
            print(f"    {name}: p95 of {TIMED[name][1]} in each of {N_PARTS} parts: {', '.join(f'{it:.0f}' for it in found)} ms")
        half = len(times) // 2
        for name in pids:
            slope = slope_mib_per_hour(times[half:], [it[2] for it in seen[name][half:]])
            print(f"    {name}: descriptors {before[name][0]} -> {after[name][0]}, threads {before[name][1]} -> {after[name][1]}, memory "
                  f"{before[name][2]:.1f} -> {after[name][2]:.1f} MiB, {slope:+.1f} MiB/h in the second half")
            self.assertLessEqual(after[name][0], before[name][0] + 8, "descriptors")
            # They come with work that blocks, and go when there is none: it is the most at a time that must not grow.
            most = [max(it[1] for it in part) for part in (seen[name][:half], seen[name][half:])]
            self.assertLessEqual(most[1], most[0] + 4, "threads")
            if IS_LONG:
                self.assertLess(slope, 8, name)
            else:
                self.assertLess(seen[name][-1][2] - seen[name][half][2], 32, name)
        # How fast the machine is changes by the hour. What an hour did to the servers is told by others that have just begun.
        self.cluster.script("roll.sh")
        for name in pids:
            if name.startswith(("asr", "tts")):
                self.assertNotEqual(self.cluster.pid(name), pids[name], f"{name} was not renewed")
        renewed = self.part("renewed", N_PARTS, lambda: None)
        for name, found in p95.items():
            new = p95_of(renewed, name)
            print(f"    {name}: p95 of {TIMED[name][1]} in the last part, again on renewed servers: {new:.0f} ms")
            self.assertGreater(min(*found, new), 0, f"{name}: a part in which nothing was timed")
            # 25 ms are what a machine with other work makes of nothing.
            if IS_LONG:
                self.assertLess(found[-1], max(1.1 * new, new + 25), f"{name}: latencies grow")


if __name__ == "__main__":
    unittest.main()
