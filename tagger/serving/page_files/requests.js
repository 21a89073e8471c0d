// Requests to the server. Of several requests of one kind, only the latest may deliver its answer.

/** An error with one sentence for the page. */
export class ServerError extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function send(path, body, token, signal) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { method: body ? "POST" : "GET", body: body && JSON.stringify(body), headers, signal };
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServerError("The server cannot be reached. Check that it runs, then try again.");
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
  }
  if (!response.ok || answer === null) throw new ServerError(sentence(response, answer), response.status, answer?.code);
  return answer;
}

function sentence(response, answer) {
  if (response.status === 401) return "The server asks for an access token. Enter it above.";
  if (typeof answer?.detail === "string") return answer.detail;
  if (typeof answer?.title === "string") return `${answer.title}.`;
  return `The server answered with status ${response.status}. Try again later.`;
}

export const get = (path, token) => send(path, null, token);
export const post = (path, body, token) => send(path, body, token);

let current = null;

/**
 * Send several requests and abort those of an earlier call.
 * Returns for each request {value} or {error}, or null if a later call has begun meanwhile.
 */
export async function ask(requests, token) {
  current?.abort();
  const own = new AbortController();
  current = own;
  const answers = await Promise.allSettled(
    requests.map(({ path, body }) => send(path, body, token, own.signal)),
  );
  if (current !== own) return null;
  return answers.map(({ value, reason }) => (reason ? { error: reason } : { value }));
}
