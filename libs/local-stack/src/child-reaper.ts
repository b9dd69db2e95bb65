import { spawn } from 'node:child_process';

/**
 * Ends child processes when this process is gone, however it ended: a SIGKILL leaves no time for handlers. A small
 * shell holds the other end of a pipe; when the pipe closes it kills the pids it was last told and removes the folder.
 */
export interface ChildReaper {
  /** The children alive now; replaces what was said before. */
  watch(pids: number[]): void;
  /** Nothing is left to end. */
  dismiss(): void;
}

const SCRIPT = `
pids=
while read -r line; do pids="$line"; done
[ "$pids" = done ] && exit 0
[ -n "$pids" ] && kill -9 $pids
[ -n "$1" ] && sleep 1 && rm -rf "$1"
`;

export function startChildReaper(folderToRemove?: string): ChildReaper {
  // In its own session, so that Ctrl-C in the terminal does not end it before its owner.
  const shell = spawn('sh', ['-c', SCRIPT, 'sh', folderToRemove ?? ''], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const pipe = shell.stdin;
  // Without a shell there is no reaper, and its owner still stops its children in the usual ways.
  shell.on('error', () => undefined);
  pipe.on('error', () => undefined);
  shell.unref();
  // A pipe to a child is a socket, which would keep this process alive.
  (pipe as unknown as { unref?(): void }).unref?.();
  return {
    watch: (pids) => void pipe.write(`${pids.join(' ')}\n`),
    dismiss: () => void pipe.end('done\n'),
  };
}
