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
export * from './generated/index.js';
export { client } from './generated/client.gen.js';
