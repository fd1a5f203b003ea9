// Reads a JSON array of applications (arrays of verbs) from stdin, and writes, for each, what Jambonz's two published
// validators say: null where they accept it, or their complaint.
import { readFileSync } from 'node:fs';
import schema from '@jambonz/schema';
import specifications from '@jambonz/verb-specifications';

const silent = new Proxy({}, { get: () => () => {} });

function complaint(validate, application) {
  try {
    validate(silent, application);
    return null;
  } catch (error) {
    return error.message;
  }
}

const applications = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(applications.map((application) => ({
  specifications: complaint(specifications.validate, application),
  schema: complaint(schema.validate, application),
}))));
