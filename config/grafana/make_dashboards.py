#!/usr/bin/env python3
"""Makes the dashboards, so that all of them look and are queried the same way.

    config/grafana/make_dashboards.py            # writes dashboards/*.json
    config/grafana/make_dashboards.py --check    # fails if they are not what this makes
"""

import argparse
import json
import pathlib
import sys

from panels import Dashboard, heatmap, line, number, percentiles, table

FOLDER = pathlib.Path(__file__).resolve().parent / "dashboards"
BOTH = 'job=~"$job", instance=~"$instance"'


def of_both(metric, shape="sum by (job) ({})", labels=""):
    """A query of a metric that each service has under its own name."""
    selector = BOTH + (", " + labels if labels else "")
    parts = [shape.format(f"{service}_{metric}{{{selector}}}") for service in ("asr", "tts")]
    return " or ".join(parts)


def rate_of_both(metric, by, labels=""):
    return of_both(metric, f"sum by ({by}) (rate({{}}[$__rate_interval]))", labels)


def overview():
    board = Dashboard("voice-overview", "Voice: overview", ["job", "instance"])
    board.row("Now")
    board.add(
        number("May be sent work", "Instances that are ready, of each service. 0: its users are turned away.", "none",
               of_both("ready"), red_below=1),
        number("Instances gone", "Targets that do not answer.", "none",
               f"sum by (job) (1 - up{{{BOTH}}})", red_above=1),
        number("Draining", "Instances that were told to stop and let their sessions finish.", "none", of_both("draining")),
        number("Sessions", "Places taken by sessions and requests, of all instances.", "none", of_both("connections")),
        number("Places taken", "Share of the places of all instances. At 1 the next session is refused.", "percentunit",
               f"({of_both('connections')}) / ({of_both('max_connections')})", red_above=0.8),
        number("Alerts", "Alerts that fire, of config/prometheus/alerts.yml.", "none",
               'sum(ALERTS{alertstate="firing"}) or vector(0)', red_above=1, legend="firing"),
        width=4, height=4)
    board.row("Sessions")
    board.add(
        line("Sessions", "Places taken at each instance.", "none", (of_both("connections", "{}"), "{{instance}}")),
        line("Refusals", "Refused requests and ended sessions a second, by error code. `at_capacity` at one instance is no refusal "
             "for a user whom the balancer sends to another.", "reqps",
             (rate_of_both("rejected_total", "job, reason") + " > 0", "{{job}} {{reason}}")),
        line("Ends of sessions", "`closed`: as agreed. `gone`: the client vanished. `fault`: the client broke the rules. `failed`: we did.",
             "ops", (rate_of_both("sessions_total", "job, ending"), "{{job}} {{ending}}")))
    board.row("Promises")
    board.add(
        line("End of speech to final text, p95", "Promised: at most 0.5 s, the pause that ends speech included.", "s",
             ("job:final_latency_seconds:p95", "p95"), limit=0.5),
        line("Turn of a request to first audio, p95", "Promised: at most 0.5 s.", "s",
             ("job:first_chunk_seconds:p95", "p95"), limit=0.5),
        line("Lost", "Seconds a second that users did not get: speech dropped by a fault, and gaps in what was played.", "none",
             ('sum(rate(asr_audio_discarded_seconds_total{reason="failed", ' + BOTH + "}[$__rate_interval]))", "speech dropped"),
             (f"sum(rate(tts_starved_seconds_total{{{BOTH}}}[$__rate_interval]))", "gaps heard")))
    board.row("Queues")
    board.add(
        line("Waiting jobs", "Jobs that wait for a model now.", "none",
             (of_both("queue_depth", "sum by (job, model) ({})") + " > 0", "{{job}} {{model}}")),
        line("Wait, p95", "From handing in a job to the start of its call, without files.", "s",
             ('job:queue_wait_seconds:p95{lane!="background"}', "{{job}} {{model}} {{lane}}"), limit=0.5),
        line("Jobs that failed", "Calls of a model that ended in an error or a panic, a second.", "ops",
             (rate_of_both("jobs_total", "job, model, outcome", 'outcome=~"failed|panicked"'), "{{job}} {{model}} {{outcome}}")))
    board.row("Processes")
    board.add(
        line("Memory", "Resident memory of each instance.", "bytes",
             (f"process_resident_memory_bytes{{{BOTH}}}", "{{instance}}")),
        line("Cores in use", "Cores that each instance computes with.", "none",
             (f"rate(process_cpu_seconds_total{{{BOTH}}}[2m])", "{{instance}}")),
        line("File descriptors", "Open, of each instance; a session has one.", "none",
             (f"process_open_fds{{{BOTH}}}", "{{instance}}")),
        line("Running since", "Age of each process. A fall to zero is a restart.", "s",
             (f"time() - process_start_time_seconds{{{BOTH}}}", "{{instance}}")),
        width=6)
    board.add(
        table("What runs", "Version and commit of each instance.", "none",
              f"build_info{{{BOTH}}}", ["service", "instance", "version", "commit"]),
        table("Alerts that fire", "See docs/MONITORING.md for what to do about each.", "none",
              'ALERTS{alertstate="firing"}', ["alertname", "severity", "job", "instance", "model", "lane", "reason"]),
        width=12)
    return board


def queue_rows(board, service):
    """What every service tells of its models."""
    of = f'{service}_{{}}{{{{instance=~"$instance"}}}}'.format
    board.row("Models")
    board.add(
        line("Waiting jobs", "Jobs that wait for a model now, by lane.", "none",
             (f"sum by (model, lane) ({of('queue_depth')}) > 0", "{{model}} {{lane}}")),
        percentiles("Wait for a model", "From handing in a job to the start of its call. Lane `background` holds files, which may wait.",
                    of("queue_wait_seconds_bucket"), by="model, lane", shown=(0.95,)),
        percentiles("Length of a call", "One call of a model, for all jobs of its batch.", of("inference_seconds_bucket"), by="stage",
                    shown=(0.95,)),
        line("Jobs in a call", "Mean size of a batch. Near 1 under load: requests do not meet in the queue.", "none",
             (f"sum by (model) (rate({of('batch_size_sum')}[$__rate_interval])) / "
              f"sum by (model) (rate({of('batch_size_count')}[$__rate_interval]))", "{{model}}")),
        line("Jobs", "What became of the jobs, a second.", "ops",
             (f"sum by (model, outcome) (rate({of('jobs_total')}[$__rate_interval])) > 0", "{{model}} {{outcome}}")),
        line("Share of time in calls", "How busy each model's threads are together; above 1 there are several.", "percentunit",
             (f"sum by (stage) (rate({of('inference_seconds_sum')}[$__rate_interval]))", "{{stage}}")))


def http_row(board, service):
    of = f'{service}_{{}}{{{{instance=~"$instance"}}}}'.format
    board.row("Requests")
    board.add(
        line("Requests", "Answered a second, by route and status. 101 is a WebSocket.", "reqps",
             (f"sum by (route, status) (rate({of('requests_total')}[$__rate_interval]))", "{{route}} {{status}}")),
        percentiles("To the head of the answer", "From the head of a request to the head of its answer.",
                    of("request_seconds_bucket"), by="route", shown=(0.95,)),
        line("Refusals", "Refused requests and ended sessions a second, by error code.", "reqps",
             (f"sum by (reason) (rate({of('rejected_total')}[$__rate_interval])) > 0", "{{reason}}")))


def asr():
    board = Dashboard("voice-asr", "Voice: recogniser (asr)", ["instance"], service="asr")
    of = 'asr_{}{{instance=~"$instance"}}'.format
    board.row("Sessions")
    board.add(
        line("Sessions", "Places taken at each instance; the dashed line is how many there are.", "none",
             (of("connections"), "{{instance}}"), (f"sum({of('max_connections')})", "places of all")),
        line("Audio received", "Seconds of audio a second: how many people are heard at once, and files.", "none",
             (f"sum by (kind) (rate({of('audio_seconds_total')}[$__rate_interval]))", "{{kind}}")),
        line("Ends of sessions", "`closed`: as agreed. `gone`: the client vanished. `fault`: the client's. `failed`: ours.", "ops",
             (f"sum by (ending) (rate({of('sessions_total')}[$__rate_interval]))", "{{ending}}")))
    board.row("Latency")
    board.add(
        percentiles("End of speech to final text", "Promised: 0.5 s at p95. The pause that ends speech (0.2 s by default) is part of it.",
                    of("final_latency_seconds_bucket"), limit=0.5),
        heatmap("End of speech to final text", "How many finals took how long. Two bands: some wait for something.",
                of("final_latency_seconds_bucket")),
        percentiles("Partial text", "From asking for a partial text to sending it.", of("partial_latency_seconds_bucket")),
        percentiles("Decision on the turn", "From asking whether a turn is over to the verdict; after 0.5 s silence decides.",
                    of("turn_decision_seconds_bucket"), limit=0.5),
        percentiles("Files", "From a decoded file to its last segment.", of("file_seconds_bucket")),
        line("Final text, p95 of each instance", "One that is slower than the others has a neighbour or a slower card.", "s",
             (f"histogram_quantile(0.95, sum by (instance, le) (rate({of('final_latency_seconds_bucket')}[$__rate_interval])))",
              "{{instance}}"), limit=0.5))
    board.row("Accounts")
    board.add(
        line("Segments", "Pieces of speech a second that got their final text, or an error.", "ops",
             (f"sum by (outcome) (rate({of('segments_total')}[$__rate_interval]))", "{{outcome}}")),
        line("Audio discarded", "Seconds a second. `failed`: lost by a fault of ours. `reset`: dropped because the client said so.", "none",
             (f"sum by (reason) (rate({of('audio_discarded_seconds_total')}[$__rate_interval]))", "{{reason}}")),
        line("Windows out of the ordinary", "Decoded again at another temperature (`fallback`), or without speech (`silent`), a second.", "ops",
             (f"sum by (kind) (rate({of('windows_total')}[$__rate_interval]))", "{{kind}}")),
        line("Sockets held back", "Times a second that a socket was not read because its session was behind.", "ops",
             (f"sum by (instance) (rate({of('sockets_held_back_total')}[$__rate_interval]))", "{{instance}}")),
        width=6)
    queue_rows(board, "asr")
    http_row(board, "asr")
    return board


def tts():
    board = Dashboard("voice-tts", "Voice: synthesiser (tts)", ["instance"], service="tts")
    of = 'tts_{}{{instance=~"$instance"}}'.format
    board.row("Sessions")
    board.add(
        line("Sessions", "Places taken at each instance, and how many there are at all of them.", "none",
             (of("connections"), "{{instance}}"), (f"sum({of('max_connections')})", "places of all")),
        line("Speech made", "Seconds of speech a second: how many listeners are served at once.", "none",
             (f"sum by (instance) (rate({of('audio_seconds_total')}[$__rate_interval]))", "{{instance}}")),
        line("Requests for speech", "A second, by what became of them.", "ops",
             (f"sum by (edge, outcome) (rate({of('utterances_total')}[$__rate_interval]))", "{{edge}} {{outcome}}")),
        line("Ends of sessions", "`closed`: as agreed. `gone`: the client vanished. `fault`: the client's. `failed`: ours.", "ops",
             (f"sum by (ending) (rate({of('sessions_total')}[$__rate_interval]))", "{{ending}}")),
        width=6)
    board.row("Latency")
    board.add(
        percentiles("First audio", "From the turn of a request to its first audio. Promised: 0.5 s at p95 with 20 users.",
                    of("first_chunk_seconds_bucket"), limit=0.5),
        heatmap("First audio", "How many requests took how long.", of("first_chunk_seconds_bucket")),
        percentiles("Cancel", "From a cancel to the last byte of what was cancelled. Promised: 50 ms.",
                    of("cancel_seconds_bucket"), limit=0.05),
        percentiles("Real-time factor", "Time to make a second of speech. From 1 on a listener would wait.",
                    of("real_time_factor_bucket"), unit="none", limit=1),
        heatmap("Real-time factor", "How many requests were made how fast.", of("real_time_factor_bucket"), unit="none"),
        line("Gaps heard", "Share of the speech made that came too late to be played without a gap.", "percentunit",
             (f"sum by (instance) (rate({of('starved_seconds_total')}[$__rate_interval])) / "
              f"sum by (instance) (rate({of('audio_seconds_total')}[$__rate_interval]))", "{{instance}}"), limit=0.01))
    board.row("Batch and cache")
    board.add(
        line("Sentences in the batch", "Slots of the language model that run, and those whose reader has no room.", "none",
             (f"sum by (state) ({of('slots')})", "{{state}}")),
        line("Characters", "Of text taken, a second.", "none",
             (f"sum by (instance) (rate({of('characters_total')}[$__rate_interval]))", "{{instance}}")),
        line("Cache of phrases", "Sentences a second that it had, and had not.", "ops",
             (f"sum by (outcome) (rate({of('cache_total')}[$__rate_interval]))", "{{outcome}}")),
        line("Size of the cache", "Speech kept to be said again.", "bytes", (of("cache_bytes"), "{{instance}}")),
        width=6)
    queue_rows(board, "tts")
    http_row(board, "tts")
    return board


def gpu():
    board = Dashboard("voice-gpu", "Voice: GPUs", ["host", "gpu"])
    # Every instance of a machine reports the same cards.
    of = 'max by (host, gpu) (gpu_{}{{host=~"$host", gpu=~"$gpu"}})'.format
    card = "{{host}} GPU {{gpu}}"
    board.row("Cards")
    board.add(
        line("Utilisation", "Share of the last moment in which a kernel ran.", "percentunit", (of("utilization_ratio"), card)),
        line("Memory", "In use by all processes, as a share of what there is.", "percentunit",
             (f"{of('memory_used_bytes')} / {of('memory_total_bytes')}", card), limit=0.9),
        line("Memory in bytes", "In use by all processes, and what there is.", "bytes",
             (of("memory_used_bytes"), card), (of("memory_total_bytes"), card + ", all")),
        line("Temperature", "Of the chip. Cards slow down above their limit, as a rule a little over 85 °C.", "celsius",
             (of("temperature_celsius"), card), limit=85),
        line("Power", "Drawn by the card.", "watt", (of("power_watts"), card)),
        line("Power for a second of speech", "Energy for each second of audio heard or made, over all cards shown.", "joule",
             (f"sum({of('power_watts')}) / (sum(rate(asr_audio_seconds_total[$__rate_interval])) + "
              "sum(rate(tts_audio_seconds_total[$__rate_interval])))", "J for a second")))
    return board


def written(board):
    """As JSON with a line for each panel, so that a change of one is a change of one line."""
    whole = board.as_json()
    parts = [json.dumps(it, ensure_ascii=False) for it in whole.pop("panels")]
    return json.dumps(whole, ensure_ascii=False)[:-1] + ',\n"panels": [\n' + ",\n".join(parts) + "\n]}\n"


def made():
    """The text of each file."""
    boards = {"overview": overview(), "asr": asr(), "tts": tts(), "gpu": gpu()}
    return {f"{name}.json": written(board) for name, board in boards.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not what would be written")
    check = parser.parse_args().check
    for name, text in made().items():
        path = FOLDER / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"error: {path} is not what make_dashboards.py makes: run it and commit what it writes")
    print(f"{len(made())} dashboards")


if __name__ == "__main__":
    main()
