import * as reconstruction from '../../src/cas/reconstruction.ts';
import type { Steps } from '../../src/core/steps.ts';
import * as plan from '../../src/download/plan.ts';

/** Work that would be done in turns, done in one go. */
function atOnce<T>(work: Steps<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

export const readReconstruction = (body: unknown) => atOnce(reconstruction.readReconstruction(body));
export const readReconstructions = (body: unknown) => atOnce(reconstruction.readReconstructions(body));
export const planDownload = (...args: Parameters<typeof plan.planDownload>) => atOnce(plan.planDownload(...args));
