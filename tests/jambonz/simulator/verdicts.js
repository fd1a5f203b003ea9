// Reads an array of applications on stdin and writes, for each, null or the reason for which Jambonz's validator
// refuses it. The first argument is where its package is.
const {validate} = require(process.argv[2]);
const quiet = {info() {}, error() {}, debug() {}};
const verdict = (application) => {
  try {
    validate(quiet, application);
    return null;
  } catch (error) {
    return String(error.message);
  }
};
let input = '';
process.stdin.on('data', (chunk) => input += chunk);
process.stdin.on('end', () => process.stdout.write(JSON.stringify(JSON.parse(input).map(verdict))));
