import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { round } from '../traffic/quantiles.js';

/** As Node's --cpu-prof writes it, as far as it is read here. */
export interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

export interface SelfTime {
  where: string;
  ms: number;
  /** Of the time the process was not idle, in per cent. */
  share: number;
}

/** The functions that used most time themselves, their callees not counted. */
export function topSelfTimes(profile: CpuProfile, count: number): SelfTime[] {
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const microseconds = new Map<string, number>();
  profile.samples.forEach((node, index) => {
    const place = places.get(node) ?? '?';
    microseconds.set(place, (microseconds.get(place) ?? 0) + Math.max(0, profile.timeDeltas[index] ?? 0));
  });
  microseconds.delete('(idle)');
  const busy = [...microseconds.values()].reduce((sum, value) => sum + value, 0);
  return [...microseconds]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([where, value]) => ({ where, ms: round(value / 1000, 0), share: round((100 * value) / busy, 1) }));
}

/** The profile a process left in the folder when it ended; undefined when it left none. */
export function profileOf(folder: string, pid: number): CpuProfile | undefined {
  const file = readdirSync(folder).find((name) => name.split('.')[3] === String(pid));
  return file === undefined
    ? undefined
    : (JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as CpuProfile);
}

function placeOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  return `${name} ${shortened(url)}:${lineNumber + 1}`;
}

/** The package and the file in it, or the bundle's file; Node's own modules as they are. */
function shortened(url: string): string {
  if (!url.startsWith('file:')) return url;
  const file = fileURLToPath(url);
  const inPackage = file.lastIndexOf('/node_modules/');
  return inPackage < 0 ? path.basename(file) : file.slice(inPackage + '/node_modules/'.length);
}
