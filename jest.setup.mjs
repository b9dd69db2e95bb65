// Jest evaluates CommonJS packages that require() Nest while Nest's own ES modules are still being linked and stops
// with ERR_REQUIRE_CYCLE_MODULE; loading Nest first avoids it.
import 'reflect-metadata';
import '@nestjs/common';
import '@nestjs/core';
import { configureGlobal } from 'fast-check';

configureGlobal({ seed: Number(process.env.TEST_SEED) });
