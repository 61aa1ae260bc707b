// Stripe's own library signs the events: they are accepted, and no others.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Stripe from 'stripe';
import { startService, student } from './service.mjs';

const secrets = ['whsec_theNewOne', 'whsec_theOldOne'];
const { webhooks } = new Stripe('sk_test_unused');

// The header `Stripe-Signature` as Stripe's library writes it.
function signed(payload, options) {
  return webhooks.generateTestHeaderString({ payload, secret: secrets[0], ...options });
}

async function deliver(service, payload, signature) {
  const answer = await fetch(`${service.url}/v1/webhooks/stripe`, {
    method: 'POST', body: payload,
    headers: { 'content-type': 'application/json; charset=utf-8', ...(signature && { 'stripe-signature': signature }) },
  });
  const type = answer.ok ? '' : (await answer.json()).type;
  return [answer.status, type.split('/').pop()];
}

function event(id, type, object, more) {
  return JSON.stringify({ id, object: 'event', type, livemode: false, data: { object }, ...more }, null, 2);
}

describe('a service with a key of Stripe', () => {
  let service;
  // The API's address is unused, and no email is sent: the service only receives events.
  before(async () => {
    service = await startService({
      STRIPE_SECRET_KEY: 'sk_test_webhooks', STRIPE_WEBHOOK_SECRETS: secrets.join(','),
      STRIPE_API_BASE: 'http://127.0.0.1:1', ORIENTATION_MAIL_FROM: 'orientation@example.edu',
      ORIENTATION_SMTP_URL: 'smtp://127.0.0.1:1',
    });
  });
  after(() => service.stop());

  const refund = event('evt_1', 'charge.refunded', { id: 'ch_1', payment_intent: 'pi_1', amount_refunded: 500 });

  test('accepts events signed with one of its secrets, also when they are repeated', async () => {
    for (const secret of [...secrets, secrets[0]]) {
      assert.deepEqual(await deliver(service, refund, signed(refund, { secret })), [200, '']);
    }
  });

  test('accepts unknown kinds of events, and bodies of other API versions', async () => {
    const bodies = [
      event('evt_2', 'invoice.paid', { id: 'in_1', object: 'invoice' }),
      event('evt_3', 'checkout.session.completed', { id: 'cs_1', metadata: {} }, { api_version: '2015-04-07' }),
      JSON.stringify({ id: 'evt_4', object: 'v2.core.event', type: 'v2.core.event_destination.ping', livemode: false }),
    ];
    for (const body of bodies) assert.deepEqual(await deliver(service, body, signed(body)), [200, '']);
  });

  test('refuses events that were changed, are stale, or have another signature', async () => {
    const now = Math.floor(Date.now() / 1000);
    const wrong = { secret: 'whsec_somebodyElses' };
    const refusals = [
      [refund.replace('500', '5'), signed(refund), 'webhook-signature'],
      [`${refund}\n`, signed(refund), 'webhook-signature'],
      [refund, signed(refund, wrong), 'webhook-signature'],
      [refund, signed(refund, { scheme: 'v0' }), 'webhook-signature'],
      [refund, signed(refund, { timestamp: now - 301 }), 'webhook-stale'],
      [refund, signed(refund, { timestamp: now + 330 }), 'webhook-stale'],
      [refund, undefined, 'webhook-unsigned'],
    ];
    for (const [payload, signature, type] of refusals) {
      assert.deepEqual(await deliver(service, payload, signature), [400, type]);
    }
  });

  test('refuses events of the other mode', async () => {
    const live = event('evt_5', 'charge.refunded', {}, { livemode: true });
    assert.deepEqual(await deliver(service, live, signed(live)), [400, 'webhook-mode']);
  });

  test('has no checkout pages of the sandbox', async () => {
    assert.equal((await fetch(`${service.url}/sandbox/checkout/cs_1`)).status, 404);
  });
});

test('an event of an older version that the library signs pays an order once', async () => {
  const service = await startService({ STRIPE_WEBHOOK_SECRETS: secrets.join(',') });
  try {
    const { order } = await student(service.url);
    const { id, checkoutUrl, amount } = await order();
    const session = {
      id: checkoutUrl.split('/').pop(), object: 'checkout.session', payment_status: 'paid', currency: 'cad',
      amount_total: amount.amount, metadata: { orderId: id, attempt: '1' },
    };
    const paid = event('evt_1', 'checkout.session.completed', session, { api_version: '2020-08-27' });
    const less = paid.replace(`${amount.amount}`, '1');
    assert.equal((await deliver(service, less, signed(paid)))[0], 400);
    assert.equal((await order()).state, 'open');
    for (let n = 0; n < 3; n += 1) assert.deepEqual(await deliver(service, paid, signed(paid)), [200, '']);
    assert.equal((await order()).state, 'paid');
  } finally {
    await service.stop();
  }
});
