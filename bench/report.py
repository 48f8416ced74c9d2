"""The tables and the plot of compare.py, from its JSON:  report.py FILE.json  writes the others anew."""

import json
import pathlib
import statistics
import sys

NAMES = {"libgpunn": "libgpunn", "keras": "Keras fit", "keras_50_steps": "Keras fit, 50 steps per execution", "torch": "PyTorch eager",
         "torch_compiled": "PyTorch compiled", "jax": "JAX, jit per step", "jax_scan": "JAX, epoch in one scan"}
NETWORKS = {"ffn": "FFN 10-64-64-1", "cnn": "CNN 28x28, 32c3-pool-64c3-pool-64-10", "gru": "Embedding, 2 GRU 64, T = 100",
            "lstm": "Embedding, 2 LSTM 64, T = 100", "rnn": "Embedding, 2 SimpleRNN 64, T = 100"}


def medians(entry):
    return {name: statistics.median(values) for name, values in entry["rounds"].items()}


def fastest_peer(values):
    peers = {name: value for name, value in values.items() if name != "libgpunn"}
    return max(peers.values()) if peers else None


def markdown(table):
    lines = [f"# Training speed, batch {table['batch']}", "",
             f"{table['machine']}, {table['cores']} cores; load average at the start {table['load_before']:.1f}. Peers: {table['peers']}.",
             f"`{table['command']}`. Samples per second: the median of {table['rounds']} rounds (lowest to highest).", ""]
    for entry in table["samples_per_second"]:
        values = medians(entry)
        best = fastest_peer(values)
        lines += [f"## {NETWORKS[entry['network']]}; {entry['threads']} thread{'s' * (entry['threads'] > 1)}", "",
                  "| | samples/s | range | of the fastest peer |", "|---|---:|---:|---:|"]
        for name, value in sorted(values.items(), key=lambda item: -item[1]):
            low, high = min(entry["rounds"][name]), max(entry["rounds"][name])
            share = f"{value / best:.2f}x" if best else ""
            lines.append(f"| {NAMES[name]} | {value:,.0f} | {low:,.0f} to {high:,.0f} | {share} |")
        lines.append("")
    if table["first_epoch"]:
        lines += ["## From the start of the process to the end of the first FFN epoch of 1,000 steps", "",
                  "| | seconds | peak memory, MiB |", "|---|---:|---:|"]
        for name, value in sorted(table["first_epoch"].items(), key=lambda item: item[1]["seconds"]):
            lines.append(f"| {NAMES[name]} | {value['seconds']:.2f} | {value['peak_mib']:,.0f} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def plot(table):
    """Bars in plain SVG: one block for each network and number of threads, relative to its fastest peer."""
    row, block_gap, left, width, parts, y = 18, 34, 250, 480, [], 30
    ratios = [v / (fastest_peer(medians(e)) or v) for e in table["samples_per_second"] for v in medians(e).values()]
    scale = width / max(ratios, default=1)
    for entry in table["samples_per_second"]:
        values = medians(entry)
        best = fastest_peer(values) or max(values.values())
        threads = f"{entry['threads']} thread{'s' * (entry['threads'] > 1)}"
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{NETWORKS[entry["network"]]}; {threads}</text>')
        for name, value in sorted(values.items(), key=lambda item: -item[1]):
            y += row
            length = max(value / best * scale, 1)
            color = "#2a7d4f" if name == "libgpunn" else "#8a9bb0"
            parts.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{NAMES[name]}</text>'
                         f'<rect x="{left}" y="{y - 12}" width="{length:.1f}" height="{row - 4}" fill="{color}"/>'
                         f'<text x="{left + length + 6:.1f}" y="{y}">{value:,.0f}/s, {value / best:.2f}x</text>')
        y += block_gap
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 160} {y}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>')


def main():
    path = pathlib.Path(sys.argv[1])
    table = json.loads(path.read_text())
    path.with_suffix(".md").write_text(markdown(table) + "\n")
    path.with_suffix(".svg").write_text(plot(table) + "\n")


if __name__ == "__main__":
    main()
