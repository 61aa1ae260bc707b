/**
 * The client of the orientation service: one function an operation, under the operation's id, with its types.
 *
 * ```ts
 * import { client, signIn } from 'orientation-client';
 * client.setConfig({ baseUrl: 'https://orientation.example.edu', credentials: 'include' });
 * const { data, error } = await signIn({ body: { email, password } });
 * ```
 * `error` is a problem (RFC 9457): `error.type` never changes, `error.errors` names every fault of a body.
 */
import type { Problem } from './generated/index.js';

export * from './generated/index.js';
export { client } from './generated/client.gen.js';
export { createClient, createConfig } from './generated/client/index.js';

/**
 * Whether `error` is an answer of the service. What never reached it (no network, an aborted request), or was answered
 * by something in between, is not a problem, whatever the type of `error` says.
 */
export function isProblem(error: unknown): error is Problem {
  return typeof error === 'object' && error !== null
    && 'type' in error && typeof error.type === 'string'
    && 'status' in error && typeof error.status === 'number';
}
