// What people look at, in Chromium: Swagger UI, the outbox, the confirm page, the checkout.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { letter, picture, startBrowser, startService } from './service.mjs';

const email = 'alex.student@example.org';
let service;
let browser;
let page;
const complaints = [];

before(async () => {
  service = await startService();
  browser = await startBrowser();
  page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && complaints.push(`${message.text()} ${message.location().url}`));
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== service.url) complaints.push(`asked ${origin}`);
  });
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

// Presses "Try it out" and "Execute" on an operation, with the example as it is filled in; answers with the status.
async function execute(operation, change) {
  const block = page.locator(`.opblock[id$="-${operation}"]`);
  await block.locator('.opblock-summary').click();
  await block.getByRole('button', { name: 'Try it out' }).click();
  if (change) {
    const body = block.locator('textarea.body-param__text');
    await body.fill(change(await body.inputValue()));
  }
  await block.getByRole('button', { name: 'Execute' }).click();
  const status = block.locator('.live-responses-table .response-col_status');
  await status.first().waitFor();
  const answer = await block.locator('.live-responses-table .highlight-code, .live-responses-table .microlight').first().textContent().catch(() => '');
  return { status: parseInt(await status.first().textContent(), 10), answer: answer ?? '' };
}

test('the first page leads on', async () => {
  await page.goto(service.url);
  await picture(page, 'first-page');
  for (const path of ['/docs', '/openapi.json', '/outbox', '/health/ready']) {
    assert.ok(await page.locator(`a[href="${path}"]`).count(), path);
  }
});

test('a newcomer goes the whole way from Swagger UI, with the examples as they are filled in', async () => {
  const document = await (await fetch(`${service.url}/openapi.json`)).json();
  const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map((operation) => operation.operationId)).filter(Boolean);
  await page.goto(`${service.url}/docs`);
  await page.locator('.opblock').first().waitFor();
  assert.equal(await page.locator('.opblock').count(), ids.length, 'every operation is listed');
  for (const id of ids) assert.equal(await page.locator(`.opblock[id$="-${id}"]`).count(), 1, id);
  await picture(page, 'swagger-ui');

  assert.equal((await execute('getEvent')).status, 200);
  assert.equal((await execute('signUp')).status, 202);

  const confirm = await letter(service.url, email, ({ text }) => text.includes('token='));
  const outbox = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  await outbox.goto(`${service.url}/outbox`);
  await picture(outbox, 'outbox');
  await outbox.getByRole('link', { name: confirm.subject }).first().click();
  await picture(outbox, 'letter');
  const link = /https?:\S+token=\S+/.exec(confirm.text)[0];
  await outbox.goto(link);
  await picture(outbox, 'confirm-page');
  await outbox.getByRole('button').first().click();
  await outbox.getByRole('heading').first().waitFor();
  await picture(outbox, 'confirmed');

  assert.equal((await execute('signIn')).status, 200);
  const registered = await execute('register');
  assert.equal(registered.status, 201);
  const { order } = JSON.parse(registered.answer);
  await picture(page, 'swagger-ui-registered');

  await outbox.setViewportSize({ width: 390, height: 844 });
  await outbox.goto(order.checkoutUrl);
  await picture(outbox, 'checkout');
  await outbox.getByRole('button', { name: 'Pay', exact: true }).click();
  await outbox.waitForURL('**/checkout/done**');
  await picture(outbox, 'checkout-done');

  const ticket = await letter(service.url, email, ({ attachments }) => attachments.some(({ type }) => type === 'application/pdf'));
  await outbox.goto(`${service.url}/outbox`);
  await outbox.getByRole('link', { name: ticket.subject }).first().click();
  await picture(outbox, 'ticket-letter-phone');
  assert.equal((await execute('getTicket')).status, 200);
  assert.deepEqual(complaints, [], 'nothing is asked of third parties, and nothing fails in the console');
});
