import { describe, expect, it } from '@jest/globals';
import { BusyMachine } from './busy-machine.js';

/** Two processors, whose time passes as told. */
class TestMachine {
  atMs = 0;
  private readonly processors = [0, 1].map(() => ({ times: { user: 0, nice: 0, sys: 0, irq: 0, idle: 0 } }));
  readonly busy = new BusyMachine(
    () => this.atMs,
    () => this.processors,
  );

  pass(ms: number, ...idle: number[]): boolean {
    this.atMs += ms;
    this.processors.forEach(({ times }, i) => {
      times.idle += idle[i] ?? 0;
      times.user += (ms - (idle[i] ?? 0)) / 2;
      times.sys += (ms - (idle[i] ?? 0)) / 2;
    });
    return this.busy.isBusy();
  }
}

describe('a machine', () => {
  it('is busy while its processors together have hardly anything left', () => {
    const machine = new TestMachine();
    expect(machine.busy.isBusy()).toBe(false);
    expect(machine.pass(100, 19, 0)).toBe(true);
    expect(machine.pass(100, 21, 0)).toBe(false);
    expect(machine.pass(100, 0, 0)).toBe(true);
    expect(machine.pass(100, 100, 100)).toBe(false);
  });

  it('is looked at ten times a second: oftener, the system has not counted much', () => {
    const machine = new TestMachine();
    expect(machine.pass(99, 0, 0)).toBe(false);
    expect(machine.pass(1, 0, 0)).toBe(true);
    expect(machine.pass(50, 50, 50)).toBe(true);
    expect(machine.pass(50, 50, 50)).toBe(false);
  });
});
