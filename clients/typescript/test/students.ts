/** What several tests need before they begin: somebody who is signed in, and a form. */
import assert from 'node:assert/strict';
import { confirmAccount, signIn, signUp, type Account, type RegistrationForm } from '../src/index.js';
import type { Service } from './service.js';

export const password = 'seven quiet herons at dawn';

export const form: RegistrationForm = {
  legalName: 'نور حداد', pronouns: 'she/her', birthDate: '2008-02-29', studentId: 'nh123456', discipline: 'Civil',
  shirtSize: 'M', phone: '+1 506-234-5678', emergencyContact: { name: 'Sami', relationship: 'father', phone: '+1 506 233 0166' },
  dietary: ['Halal'], joinsHunt: true, summerCity: 'Port Autumn', summerCountry: 'CA', movingMonth: 'August',
  photoConsent: false, bursaryRequested: false,
};

/** Signs up, confirms the address by its email, and signs in. */
export async function signedIn(service: Service, email: string): Promise<Account> {
  const { response } = await signUp({ body: { email, password, firstName: 'Noor', lastName: 'Haddad' } });
  assert.equal(response.status, 202);
  const confirmed = await confirmAccount({ body: { token: await service.token(email, '/confirm') } });
  assert.equal(confirmed.response.status, 204);
  const { data } = await signIn({ body: { email, password }, throwOnError: true });
  return data;
}
