#!/usr/bin/env node
import module from 'node:module';

/** Node has it from 22.8 on. */
type CompileCache = { enableCompileCache?: () => unknown };

// To compile what a command consists of takes a seventh of a short one's time; what was compiled is kept, where Node can.
(module as CompileCache).enableCompileCache?.();

const { run } = await import('./cli/run.ts');

process.exitCode = await run(process.argv.slice(2));
