/**
 * What is being waited for, one line per step with the time it took. On a terminal the line of the running step is
 * rewritten as its time goes on; elsewhere each step is one plain line when it is done.
 */
export class Progress {
  private current: { step: string; startedAt: number } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly out: NodeJS.WriteStream) {}

  begin(step: string): void {
    this.end();
    this.current = { step, startedAt: Date.now() };
    if (!this.out.isTTY) return;
    const draw = (): boolean => this.out.write(`\r\u001b[K  … ${this.line()}`);
    draw();
    this.timer = setInterval(draw, 250).unref();
  }

  /** A line of its own, above the running step. */
  note(line: string): void {
    const redrawn = this.out.isTTY && this.current !== undefined;
    this.out.write(redrawn ? `\r\u001b[K${line}\n  … ${this.line()}` : `${line}\n`);
  }

  end(): void {
    this.close('✓');
  }

  fail(): void {
    this.close('✗');
  }

  private close(mark: string): void {
    clearInterval(this.timer);
    if (this.current === undefined) return;
    this.out.write(`${this.out.isTTY ? '\r\u001b[K' : ''}  ${mark} ${this.line()}\n`);
    this.current = undefined;
  }

  private line(): string {
    if (this.current === undefined) return '';
    const seconds = (Date.now() - this.current.startedAt) / 1000;
    return `${this.current.step} (${seconds.toFixed(1)} s)`;
  }
}
