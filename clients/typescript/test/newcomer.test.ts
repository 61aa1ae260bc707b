/** The newcomer's way with the client alone, but for the cookie jar, the emails, and the press of *Pay*. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  client, confirmAccount, getEvent, getHealth, getMe, getOrder, getReadiness, getRegistration, getTicket, getTicketKeys,
  getTicketPdf, getTicketPng, getTicketSvg, listOrders, openCheckout, register, signIn, signOut, signUp, updateMe,
  updateRegistration,
} from '../src/index.js';
import { Service, fetchWithCookies, press } from './service.js';
import { form, password } from './students.js';

const email = 'Noor.Example@mail.example.edu';
let service: Service;

before(async () => {
  service = await Service.start();
  client.setConfig({ baseUrl: service.url, credentials: 'include', fetch: fetchWithCookies() });
});
after(() => service?.stop());

test('a newcomer signs up, registers, pays and gets a ticket', async () => {
  assert.equal((await getHealth()).data?.status, 'live');
  assert.equal((await getReadiness()).data?.status, 'ready');
  const event = await getEvent();
  assert.equal(event.data?.registration.state, 'open', 'the shipped window is open');
  assert.ok(event.data.disciplines.includes(form.discipline));

  await signUp({ body: { email, password, firstName: 'Noor', lastName: 'Haddad' } });
  const token = await service.token(email, '/confirm');
  const early = await signIn({ body: { email, password } });
  assert.equal(early.error?.type, '/problems/wrong-credentials', 'nobody signs in before the address is confirmed');
  assert.equal((await confirmAccount({ body: { token } })).response.status, 204);
  const twice = await confirmAccount({ body: { token } });
  assert.equal(twice.error?.type, '/problems/token-used');

  const signedIn = await signIn({ body: { email: email.toUpperCase(), password } });
  assert.equal(signedIn.data?.firstName, 'Noor');
  assert.equal(signedIn.data.role, 'student');
  const renamed = await updateMe({ body: { preferredName: 'Nour' } });
  assert.equal(renamed.data?.preferredName, 'Nour');
  assert.equal((await updateMe({ body: { preferredName: null } })).data?.preferredName, undefined, 'null takes it away');

  const registered = await register({ body: form });
  assert.equal(registered.response.status, 201, JSON.stringify(registered.error));
  assert.equal(registered.data?.registration.state, 'submitted');
  assert.equal(registered.data.registration.legalName, form.legalName, 'kept as it was written');
  assert.deepEqual(registered.data.registration.huntTeammates, []);
  const { order, registration: { group } } = registered.data;
  assert.ok(event.data.groups.some(({ name }) => name === group.name));
  assert.deepEqual(order.amount, { amount: 13_000, currency: 'CAD' });
  assert.ok(order.checkoutUrl);
  assert.equal((await getTicket()).error?.type, '/problems/not-registered', 'no ticket before the money');
  assert.equal((await register({ body: form })).error?.status, 409, 'one registration an account');
  const again = await openCheckout({ path: { orderId: order.id } });
  assert.equal(again.data?.checkoutUrl, order.checkoutUrl, 'one live checkout an order');

  assert.match(await press(order.checkoutUrl, 'pay'), /\/checkout\/done/);
  const message = await service.waitForEmail(email, ({ attachments }) => attachments.some(({ type }) => type === 'application/pdf'));
  assert.match(message.subject, /registered|ticket/i);

  assert.equal((await getRegistration()).data?.state, 'registered');
  const paid = await getOrder({ path: { orderId: order.id } });
  assert.equal(paid.data?.state, 'paid');
  assert.ok(paid.data.paidAt);
  const page = await listOrders({ query: { limit: 10 } });
  assert.deepEqual(page.data?.items, [paid.data]);
  assert.equal(page.data.nextCursor, undefined);
  const nothingLeft = await openCheckout({ path: { orderId: order.id } });
  assert.equal(nothingLeft.error?.type, '/problems/order-paid');

  const moved = await updateRegistration({ body: { summerCity: 'Elsewhere', movingMonth: null } });
  assert.equal(moved.data?.summerCity, 'Elsewhere');
  assert.equal(moved.data.movingMonth, undefined);
  assert.equal((await signOut()).response.status, 204);
  assert.equal((await getMe()).error?.type, '/problems/not-signed-in');
});

test('a ticket downloads as PNG, SVG and PDF, each with its type', async () => {
  await signIn({ body: { email, password }, throwOnError: true });
  const { data: ticket } = await getTicket({ throwOnError: true });
  const keys = await getTicketKeys();
  assert.ok(keys.data?.keys.some(({ kid }) => ticket.token.startsWith(`OT1.${kid}.`)));
  const files = [
    { file: await getTicketPdf(), type: 'application/pdf', begins: '%PDF-', address: ticket.downloads.pdf },
    { file: await getTicketPng(), type: 'image/png', begins: '\u{fffd}PNG', address: ticket.downloads.png },
    { file: await getTicketSvg(), type: 'image/svg+xml', begins: '<', address: ticket.downloads.svg },
  ];
  for (const { file, type, begins, address } of files) {
    const blob: Blob | undefined = file.data;
    assert.ok(blob instanceof Blob, type);
    assert.equal(blob.type, type);
    assert.ok((await blob.text()).startsWith(begins), type);
    assert.equal(new URL(file.request.url).pathname, new URL(address, service.url).pathname);
  }
});
