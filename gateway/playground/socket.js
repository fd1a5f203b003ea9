// A listener's progress socket, opened again and again for as long as it is wanted. It goes on where it was: no event is
// missed while there is none.

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 10_000;

// `credentials` gives what the query has to have (a promise), `open` the socket with a query. `connected` and `lost` are
// told, the latter with the error where there were no credentials. Returns what ends it.
export function watch({ credentials, open, receive, connected, lost, later = setTimeout }) {
  let socket = null;
  let timer = null;
  let ended = false;
  let pause = FIRST_PAUSE;
  let cursor = null;

  const again = (error = null) => {
    if (!ended) lost(error);
    if (ended) return; // by whom that was told
    timer = later(connect, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };

  async function connect() {
    let query;
    try {
      query = await credentials();
    } catch (error) {
      again(error);
      return;
    }
    if (ended) return;
    socket = open(cursor === null ? query : { ...query, since: cursor });
    socket.onopen = () => {
      pause = FIRST_PAUSE;
      connected();
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      cursor = message.cursor ?? cursor;
      receive(message);
    };
    socket.onclose = () => again();
  }

  connect();
  return () => {
    ended = true;
    clearTimeout(timer);
    socket?.close();
  };
}
