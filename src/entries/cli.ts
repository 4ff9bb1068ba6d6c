#!/usr/bin/env node
import module from 'node:module';

/** Node has it from 22.8 on. */
type CompileCache = { enableCompileCache?: () => unknown };

// To compile what a command consists of takes a seventh of a short one's time; what was compiled is kept, where Node can.
(module as CompileCache).enableCompileCache?.();

const [{ run }, { withStreams }] = await Promise.all([import('../cli/run.ts'), import('../cli/streams.ts')]);

process.exitCode = await withStreams((lost) => run(process.argv.slice(2), lost));
