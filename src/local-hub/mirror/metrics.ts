/** Counters of a mirror, with their help texts. */
const COUNTERS = {
  requests: 'Requests answered',
  answers_held: 'Questions answered without the upstream',
  answers_asked: 'Questions handed to the upstream',
  answers_stale: 'Questions answered from what is held because the upstream was unavailable',
  upstream_requests: 'Requests sent to the upstream and its storage',
  upstream_bytes: 'Bytes received from the upstream and its storage',
  xorb_fetches: 'Ranges of xorbs fetched from the upstream',
  xorb_bytes_fetched: 'Bytes of xorbs fetched from the upstream',
  xorb_bytes_served: 'Bytes of xorbs handed to clients, also inside of files',
  file_bytes_fetched: 'Bytes of files without Xet fetched from the upstream',
  evicted_bytes: 'Bytes of xorbs evicted from the store',
  repairs: 'Damaged runs of chunks found in the store and dropped',
  wrong_files: 'Files whose chunks did not have the hash that the upstream named',
  passed_through: 'Ranges passed through without being stored',
} as const;

const GAUGES = {
  stored_bytes: 'Bytes of xorbs in the store',
  fetches_in_flight: 'Ranges being fetched from the upstream',
  upstream_available: '1 while the upstream answers',
} as const;

/** Name of a counter. */
export type CounterName = keyof typeof COUNTERS;

/** Counts of what a mirror did since it started. */
export class MirrorMetrics {
  readonly #counts = new Map<CounterName, number>();

  add(name: CounterName, amount: number): void {
    this.#counts.set(name, this.get(name) + amount);
  }

  get(name: CounterName): number {
    return this.#counts.get(name) ?? 0;
  }

  /** All of it in Prometheus' text format. */
  text(gauges: Record<keyof typeof GAUGES, number>): string {
    const lines: string[] = [];
    const put = (kind: string, name: string, help: string, value: number) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, `${name} ${value}`);
    for (const [name, help] of Object.entries(COUNTERS)) {
      put('counter', `xetkit_mirror_${name}_total`, help, this.get(name as CounterName));
    }
    for (const [name, help] of Object.entries(GAUGES)) {
      put('gauge', `xetkit_mirror_${name}`, help, gauges[name as keyof typeof GAUGES]);
    }
    return `${lines.join('\n')}\n`;
  }
}
