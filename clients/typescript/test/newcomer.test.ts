/** The newcomer's way with the client alone, but for the cookie jar, the letters, and the press of *Pay*. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  client, confirmAccount, getEvent, getMe, getOrder, getRegistration, getTicket, getTicketPdf, listOrders, openCheckout,
  register, signIn, signOut, signUp, updateMe, updateRegistration,
} from '../src/index.js';
import { Service, fetchWithCookies } from './service.js';

const email = 'Noor.Example@mail.example.edu';
const password = 'seven quiet herons at dawn';
let service: Service;

before(async () => {
  service = await Service.start();
  client.setConfig({ baseUrl: service.url, credentials: 'include', fetch: fetchWithCookies() });
});
after(() => service.stop());

test('a newcomer signs up, registers, pays and holds a ticket', async () => {
  const event = await getEvent();
  assert.ok(event.data?.registration.open, 'the shipped window is open');

  await signUp({ body: { email, password, firstName: 'Noor', lastName: 'Haddad' } });
  const letter = await service.letter(email, ({ text }) => text.includes('token='));
  const token = /token=([^\s&]+)/.exec(letter.text)?.[1];
  assert.ok(token);
  const early = await signIn({ body: { email, password } });
  assert.equal(early.response?.status, 401, 'nobody signs in before the address is confirmed');
  assert.equal((await confirmAccount({ body: { token } })).response?.ok, true);

  const signedIn = await signIn({ body: { email: email.toUpperCase(), password } });
  assert.equal(signedIn.data?.firstName, 'Noor');
  const renamed = await updateMe({ body: { preferredName: 'Nour' } });
  assert.equal(renamed.data?.preferredName, 'Nour');

  const registered = await register({
    body: {
      legalName: 'نور حداد', pronouns: 'she/her', birthDate: '2008-02-29', studentId: 'nh123456', discipline: 'Civil',
      shirtSize: 'M', phone: '+1 506-234-5678', emergencyContact: { name: 'Sami', relationship: 'father', phone: '+1 506 233 0166' },
      dietary: ['Halal'], joinsHunt: true, huntTeammates: [], summerCity: 'Port Autumn', summerCountry: 'CA',
      movingMonth: 'August', photoConsent: false, bursaryRequested: false,
    },
  });
  assert.equal(registered.response?.status, 201, JSON.stringify(registered.error));
  assert.equal(registered.data?.registration.state, 'submitted');
  const { order } = registered.data;
  assert.deepEqual(order.amount, { amount: 13_000, currency: 'CAD' });
  assert.ok(order.checkoutUrl);
  assert.equal((await getTicket()).response?.ok, false, 'no ticket before the money');
  const again = await openCheckout({ path: { orderId: order.id } });
  assert.equal(again.data?.checkoutUrl, order.checkoutUrl, 'one live checkout an order');

  const pay = await fetch(order.checkoutUrl, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ press: 'pay' }),
  });
  assert.equal(pay.status, 303);
  const ticketLetter = await service.letter(email, ({ attachments }) => attachments.some(({ type }) => type === 'application/pdf'));
  assert.match(ticketLetter.subject, /registration|ticket/i);

  assert.equal((await getRegistration()).data?.state, 'registered');
  assert.equal((await getOrder({ path: { orderId: order.id } })).data?.state, 'paid');
  assert.deepEqual((await listOrders()).data?.items.map(({ id }) => id), [order.id]);
  assert.ok((await getTicket()).data?.token);
  const pdf = await getTicketPdf({ parseAs: 'blob' });
  assert.ok(pdf.data instanceof Blob);
  assert.equal(await pdf.data.slice(0, 5).text(), '%PDF-');

  const moved = await updateRegistration({ body: { summerCity: 'Elsewhere' } });
  assert.equal(moved.data?.summerCity, 'Elsewhere');
  assert.equal((await signOut()).response?.status, 204);
  assert.equal((await getMe()).response?.status, 401);
});

test('a refusal is a typed problem with every fault', async () => {
  const refused = await signUp({ body: { email: 'nobody', password: 'x', firstName: '', lastName: 'Y' } });
  assert.equal(refused.response?.status, 422);
  const problem = refused.error as { type: string; errors: { pointer: string }[] };
  assert.equal(problem.type, '/problems/invalid');
  assert.deepEqual(problem.errors.map(({ pointer }) => pointer).sort(), ['/email', '/firstName', '/password']);
});
