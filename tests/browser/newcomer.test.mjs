// A student's way in Chromium, from Swagger UI, with the prefilled examples.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitForEmail, waitForLink, look, openWindow, startBrowser, startService } from './service.mjs';

const email = 'alex.student@example.org';
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

// Opens an operation in Swagger UI and presses "Execute"; returns the response once it is shown.
async function execute(page, operation) {
  const block = page.locator(`.opblock[id$="-${operation}"]`);
  await block.locator('.opblock-summary-control').click();
  const press = block.getByRole('button', { name: 'Execute' });
  const [answer] = await Promise.all([
    page.waitForResponse((response) => ['fetch', 'xhr'].includes(response.request().resourceType())),
    press.click(),
  ]);
  const shown = block.locator('.live-responses-table tbody .response-col_status').first();
  await shown.waitFor();
  assert.equal(parseInt(await shown.textContent(), 10), answer.status(), operation);
  return { status: answer.status(), body: async () => answer.json() };
}

test('the first page links to the others', async () => {
  const { page, context, complaints } = await openWindow(browser, service);
  await page.goto('/');
  await look(page, 'first-page');
  await page.emulateMedia({ colorScheme: 'dark' });
  await look(page, 'first-page-dark');
  for (const path of ['/docs', '/openapi.json', '/outbox', '/health/ready']) {
    const link = page.locator(`main a[href="${path}"]`).first();
    await link.click();
    assert.equal(new URL(page.url()).pathname, path);
    await page.goBack();
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test('Swagger UI lists every operation under its tag', async () => {
  const { page, context, complaints } = await openWindow(browser, service);
  const document = await (await fetch(`${service.url}/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path)).filter((one) => one.operationId);
  await page.goto('/docs');
  await page.locator('.opblock').first().waitFor();
  assert.equal(await page.locator('.opblock').count(), operations.length);
  for (const { tags: [tag], operationId } of operations) {
    // Swagger UI writes the spaces of a tag as underscores.
    const id = `operations-${tag.replaceAll(' ', '_')}-${operationId}`;
    assert.equal(await page.locator(`[id="${id}"]`).count(), 1, operationId);
  }
  await look(page, 'swagger-ui', { ours: false });
  assert.deepEqual(complaints, [], 'nothing is asked of third parties, and nothing fails in the console');
  await context.close();
});

test('a newcomer signs up, registers and pays from Swagger UI with the prefilled examples', async () => {
  const { page, context, complaints } = await openWindow(browser, service);
  const status = async (operation) => (await execute(page, operation)).status;
  await page.goto('/docs');
  assert.equal(await status('getEvent'), 200);
  assert.equal(await status('signUp'), 202);

  // Finds and opens the email in another tab, as a person does.
  const sent = await waitForLink(service.url, email, '/confirm');
  const tab = await context.newPage();
  await tab.goto('/outbox');
  await look(tab, 'outbox');
  await tab.getByRole('link', { name: sent.subject }).first().click();
  const frame = tab.frameLocator('iframe');
  await frame.getByRole('link').first().waitFor();
  await look(tab, 'email-confirm-address');
  await frame.locator(`a[href="${sent.link}"]`).first().click();
  await tab.waitForURL(sent.link);
  await look(tab, 'confirm');
  await tab.reload();
  await tab.getByRole('button', { name: 'Confirm my address' }).click();
  await tab.getByRole('heading', { name: 'Welcome' }).waitFor();
  await look(tab, 'confirmed');

  assert.equal(await status('signIn'), 200);
  assert.equal(await status('getMe'), 200);
  assert.equal(await status('updateMe'), 200);
  const registered = await execute(page, 'register');
  assert.equal(registered.status, 201);
  const { order, registration } = await registered.body();
  assert.equal(registration.state, 'submitted');
  await page.locator('.opblock[id$="-register"]').scrollIntoViewIfNeeded();
  await look(page, 'swagger-ui-registered', { ours: false });
  assert.equal(await status('getRegistration'), 200);
  assert.equal(await status('updateRegistration'), 200);
  assert.equal(await status('listOrders'), 200);

  const done = `/checkout/done?order=${order.id}`;
  await tab.goto(done);
  await tab.getByRole('heading', { name: 'Not confirmed yet' }).waitFor();
  await look(tab, 'checkout-done-unpaid');
  await tab.goto(order.checkoutUrl);
  await look(tab, 'checkout');
  await tab.getByRole('button', { name: 'Pay', exact: true }).click();
  await tab.waitForURL(`**${done}`);
  await tab.getByRole('heading', { name: 'Thank you' }).waitFor();
  await look(tab, 'checkout-done');
  const ticket = await context.request.get(await tab.getByRole('link', { name: 'Open the ticket' }).getAttribute('href'));
  assert.deepEqual([ticket.status(), ticket.headers()['content-type']], [200, 'application/pdf']);

  const complete = await waitForEmail(service.url, email, ({ attachments }) => attachments.some(({ type }) => type === 'application/pdf'));
  await tab.goto('/outbox');
  await look(tab, 'outbox-all');
  await tab.getByRole('link', { name: complete.subject }).first().click();
  await tab.frameLocator('iframe').locator('body').waitFor();
  await look(tab, 'email-ticket');
  const [download] = await Promise.all([
    tab.waitForEvent('download'),
    tab.getByRole('link', { name: complete.attachments[0].name }).click(),
  ]);
  assert.equal(download.suggestedFilename(), complete.attachments[0].name);

  assert.equal(await status('getTicket'), 200);
  assert.equal(await status('getTicketPng'), 200);
  assert.equal(await status('signOut'), 204);
  assert.deepEqual(complaints, [], 'nothing is asked of third parties, and nothing fails in the console');
  await context.close();
});
