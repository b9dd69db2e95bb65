import type { OpsRoute } from '@posthaste/runtime';
import type { RunningRebuilds } from './rebuild-loop.js';

/** `/rebuild` of the ops port: GET tells how far it is, POST asks for one, DELETE ends it and leaves what is live as it is. */
export function rebuildRoute(rebuilds: RunningRebuilds): OpsRoute {
  const shown = async (): Promise<{ status: number; body: unknown }> => {
    const progress = (await rebuilds.progress()) ?? { status: 'none' };
    return { status: 200, body: { ...progress, obstacle: (await rebuilds.obstacle()) ?? null } };
  };
  return async (method) => {
    switch (method) {
      case 'GET':
        return shown();
      case 'POST': {
        const answer = await rebuilds.start();
        return { status: 'refused' in answer ? 409 : 202, body: answer };
      }
      case 'DELETE':
        await rebuilds.cancel();
        return shown();
      default:
        return undefined;
    }
  };
}
