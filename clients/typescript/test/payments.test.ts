/** A checkout whose payment fails is opened again. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, getOrder, getRegistration, openCheckout, register } from '../src/index.js';
import { Service, eventually, fetchWithCookies, press } from './service.js';
import { form, signedIn } from './students.js';

let service: Service;

before(async () => {
  service = await Service.start();
  client.setConfig({ baseUrl: service.url, credentials: 'include', fetch: fetchWithCookies() });
});
after(() => service?.stop());

test('a payment that the bank declines leaves an order that can be paid again', async () => {
  await signedIn(service, 'declined@mail.example.edu');
  const { data: { order } } = await register({ body: form, throwOnError: true });
  assert.ok(order.checkoutUrl);
  const path = { orderId: order.id };
  const state = async () => (await getOrder({ path })).data?.state;

  assert.match(await press(order.checkoutUrl, 'back'), /\/checkout\/back/);
  assert.equal(await state(), 'open', 'going back changes nothing');

  await press(order.checkoutUrl, 'later-fails');
  assert.equal(await state(), 'processing');
  const early = await openCheckout({ path });
  assert.deepEqual([early.error?.type, early.error?.status], ['/problems/order-processing', 409]);

  await eventually('the bank', async () => (await state()) === 'open');
  const { data: again } = await openCheckout({ path, throwOnError: true });
  assert.ok(again.checkoutUrl && again.checkoutUrl !== order.checkoutUrl, 'another attempt has another checkout');
  await press(again.checkoutUrl, 'later-succeeds');
  await eventually('the bank', async () => (await state()) === 'paid');
  assert.equal((await getRegistration()).data?.state, 'registered');
});
