// The HTML pages that emails and the checkout link to.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitForEmail, waitForLink, look, openWindow, startBrowser, startService } from './service.mjs';

const password = 'seven quiet herons at dawn';
let service;
let browser;

before(async () => {
  service = await startService();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

// A window with a new, signed-in student.
async function signedIn(email, names = { firstName: 'Noor', lastName: 'Haddad' }) {
  const window = await openWindow(browser, service);
  const post = async (path, data) => assert.ok((await window.context.request.post(path, { data })).ok(), path);
  await post('/v1/accounts', { email, password, ...names });
  const { link } = await waitForLink(service.url, email, '/confirm');
  await post('/v1/accounts/confirm', { token: new URL(link).searchParams.get('token') });
  await post('/v1/session', { email, password });
  return window;
}

// Chromium also logs the expected 4xx responses to the console: removes them.
const unexpected = (complaints) => complaints.filter((text) => !text.startsWith('Failed to load resource'));

test('a second press shows the same in this browser, and a used or broken link says so elsewhere', async () => {
  const { page, context, complaints } = await openWindow(browser, service);
  const email = 'once@example.org';
  const data = { email, password, firstName: 'Noor', lastName: 'Haddad' };
  await context.request.post('/v1/accounts', { data });
  const { link } = await waitForLink(service.url, email, '/confirm');
  const press = async (window, heading) => {
    await window.goto(link);
    await window.getByRole('button').click();
    await window.getByRole('heading', { name: heading }).waitFor();
  };
  await press(page, 'Welcome');
  await press(page, 'Welcome');
  const other = await openWindow(browser, service);
  await press(other.page, 'This link has been used');
  await look(other.page, 'link-used');
  await other.context.close();
  await page.goto(link.slice(0, -9));
  await page.getByRole('button').click();
  await page.getByRole('heading', { name: 'This link is not one of ours' }).waitFor();
  await page.goto('/no-such-page');
  await page.getByRole('heading').first().waitFor();
  await look(page, 'not-found');
  assert.deepEqual(unexpected(complaints), []);
  await context.close();
});

test('a new password is chosen on its page, which explains why a weak one is refused', async () => {
  const email = 'forgetful@example.org';
  const { page, context, complaints } = await signedIn(email);
  await context.request.post('/v1/password-resets', { data: { email } });
  const { link } = await waitForLink(service.url, email, '/reset-password');
  await page.goto(link);
  await look(page, 'reset-password');
  await page.getByLabel('New password').fill('password');
  await page.getByRole('button').click();
  await page.getByRole('alert').waitFor();
  await look(page, 'reset-password-weak');
  await page.getByLabel('New password').fill('a brass kettle hums at noon');
  await page.getByRole('button').click();
  await page.getByRole('heading', { name: 'Your password is changed' }).waitFor();
  await look(page, 'reset-password-done');
  const statuses = [];
  for (const tried of [password, 'a brass kettle hums at noon']) {
    statuses.push((await context.request.post('/v1/session', { data: { email, password: tried } })).status());
  }
  assert.deepEqual(statuses, [401, 200]);
  assert.deepEqual(unexpected(complaints), []);
  await context.close();
});

test('a new address is confirmed on its page', async () => {
  const [old, next] = ['old@example.org', 'next@example.org'];
  const { page, context, complaints } = await signedIn(old);
  await context.request.put('/v1/me/email', { data: { email: next, currentPassword: password } });
  const { link } = await waitForLink(service.url, next, '/confirm-email');
  await page.goto(link);
  await look(page, 'confirm-email');
  await page.getByRole('button').click();
  await page.getByRole('heading', { name: 'Your address is changed' }).waitFor();
  assert.equal((await (await context.request.get('/v1/me')).json()).email, next);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the checkout pages show every result of a payment', async () => {
  const { page, context, complaints } = await signedIn('payer@example.org');
  const document = await (await fetch(`${service.url}/openapi.json`)).json();
  const registered = await context.request.post('/v1/registration', { data: document.components.schemas.RegistrationForm.example });
  const { order } = await registered.json();
  const done = `/checkout/done?order=${order.id}`;

  await page.goto(order.checkoutUrl);
  await page.getByRole('button', { name: 'Back' }).click();
  await page.getByRole('heading', { name: 'Not paid yet' }).waitFor();
  await look(page, 'checkout-back');

  await page.goto(order.checkoutUrl);
  await page.getByRole('button', { name: 'Pay later: fails' }).click();
  await page.getByRole('heading', { name: 'Payment in progress' }).waitFor();
  await look(page, 'checkout-processing');
  await page.goto(order.checkoutUrl);
  await page.getByRole('status').waitFor();
  await look(page, 'checkout-over');
  await lookAgainUntil(page, done, 'Not confirmed yet');

  const again = await (await context.request.post(`/v1/orders/${order.id}/checkout`)).json();
  await page.goto(again.checkoutUrl);
  await page.getByRole('button', { name: 'Pay later: succeeds' }).click();
  await lookAgainUntil(page, done, 'Thank you');
  await page.goto(`/checkout/back?order=${order.id}`);
  await page.getByRole('heading', { name: 'Thank you' }).waitFor();
  assert.deepEqual(unexpected(complaints), []);
  await context.close();
});

async function lookAgainUntil(page, done, heading) {
  await page.goto(done);
  const deadline = Date.now() + 30_000;
  while (await page.getByRole('heading', { name: heading }).count() === 0) {
    assert.ok(Date.now() < deadline, `${heading} never came`);
    await new Promise((passed) => setTimeout(passed, 250));
    await page.getByRole('link', { name: 'Check again' }).click();
  }
}

test('every email fits a phone and a desktop, and loads nothing from other hosts', async () => {
  const email = 'reader@example.org';
  const { page, context, complaints } = await signedIn(email);
  const put = (path, data) => context.request.put(path, { data });
  await context.request.post('/v1/password-resets', { data: { email } });
  await context.request.post('/v1/accounts', { data: { email, password, firstName: 'Eve', lastName: 'Other' } });
  await put('/v1/me/password', { currentPassword: password, newPassword: 'a brass kettle hums at noon' });
  await put('/v1/me/email', { currentPassword: 'a brass kettle hums at noon', email: 'reader.new@example.org' });
  const subjects = new Map();
  for (const to of [email, 'reader.new@example.org']) {
    await waitForEmail(service.url, to, ({ subject }) => to !== email || /address/i.test(subject));
  }
  await new Promise((passed) => setTimeout(passed, 1000));
  for (const to of [email, 'reader.new@example.org']) {
    const { items } = await (await fetch(`${service.url}/outbox.json?to=${to}`)).json();
    for (const one of items) subjects.set(one.subject, one);
  }
  for (const [subject, one] of subjects) {
    await page.goto(`/outbox/${encodeURIComponent(one.id)}/html`);
    await look(page, `email-${subject.toLowerCase().replace(/[^a-z]+/g, '-')}`);
  }
  assert.ok(subjects.size >= 6, [...subjects.keys()].join('; '));
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a name or an address without a space widens no email and no page', async () => {
  const long = 'W'.repeat(100);
  const host = `${'w'.repeat(63)}.${'m'.repeat(63)}.example.org`;
  const [email, next] = ['e', 'n'].map((first) => `${first.padEnd(64, 'w')}@${host}`);
  const names = { firstName: long, lastName: long, preferredName: long };
  const { page, context } = await signedIn(email, names);
  const { request } = context;
  const { components: { schemas } } = await (await fetch(`${service.url}/openapi.json`)).json();
  const form = { ...schemas.RegistrationForm.example, legalName: 'W'.repeat(120), studentId: 'longest1' };
  const registered = await request.post('/v1/registration', { data: form });
  assert.ok(registered.ok(), await registered.text());
  const { order } = await registered.json();
  await page.goto(order.checkoutUrl);
  await look(page, 'long-checkout');
  await page.getByRole('button', { name: 'Pay', exact: true }).click();
  await page.getByRole('heading', { name: 'Thank you' }).waitFor();
  await look(page, 'long-checkout-done');
  await request.post('/v1/password-resets', { data: { email } });
  await request.post('/v1/accounts', { data: { email, password, ...names } });
  const newPassword = 'a brass kettle hums at noon';
  await request.put('/v1/me/password', { data: { currentPassword: password, newPassword } });
  await request.put('/v1/me/email', { data: { currentPassword: newPassword, email: next } });
  await waitForEmail(service.url, email, ({ attachments }) => attachments?.length > 0);
  await waitForEmail(service.url, email, ({ subject }) => /address/i.test(subject));
  await waitForEmail(service.url, next, () => true);
  await page.goto('/outbox');
  await look(page, 'long-outbox');
  await page.goto(`/outbox?to=${email}`);
  await look(page, 'long-outbox-to');
  for (const [kind, to] of [['old', email], ['new', next]]) {
    const { items } = await (await fetch(`${service.url}/outbox.json?to=${encodeURIComponent(to)}`)).json();
    for (const [n, { id }] of items.entries()) {
      await page.goto(`/outbox/${encodeURIComponent(id)}/html`);
      await look(page, `long-email-${kind}-${n}`);
      await page.goto(`/outbox/${encodeURIComponent(id)}`);
      await look(page, `long-outbox-email-${kind}-${n}`);
    }
  }
  await page.goto(`/outbox?to=${'w'.repeat(200)}`);
  await look(page, 'long-outbox-empty');
  await page.goto(`/${long}`);
  await look(page, 'long-not-found');
  await context.close();
});
