/**
 * The client of the orientation service: one function per operation, named by its id, with its types.
 *
 * ```ts
 * import { client, signIn } from 'orientation-client';
 * client.setConfig({ baseUrl: 'https://orientation.example.edu', credentials: 'include' });
 * const { data, error } = await signIn({ body: { email, password } });
 * ```
 * `error` is a problem (RFC 9457). Switch on `error.type`: each function lists the types that it can return, and they never
 * change. `error.errors` lists every validation error of a body.
 */
import type { Problem } from './generated/index.js';

export * from './generated/index.js';
export { client } from './generated/client.gen.js';
export { createClient, createConfig } from './generated/client/index.js';

/**
 * Whether `error` is a response of the service. If the service was not reached (no network, an aborted request), or
 * something in between responded, `error` is something else, whatever its type says.
 */
export function isProblem(error: unknown): error is Problem {
  return typeof error === 'object' && error !== null
    && 'type' in error && typeof error.type === 'string'
    && 'status' in error && typeof error.status === 'number';
}
