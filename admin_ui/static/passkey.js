// Passkeys: asks the device between two requests to the panel. Marked by data-passkey on a form or a button's box.
"use strict";

const toOctets = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const toText = (octets) => btoa(String.fromCharCode(...new Uint8Array(octets))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function post(address, token, body) {
  const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
  const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error("The panel did not take it. Load the page again and try once more.");
  return answer.json();
}

function told(credential) {
  const { id, type, rawId, response } = credential;
  const fields = { clientDataJSON: toText(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) fields[name] = toText(response[name]);
  }
  return { id, type, rawId: toText(rawId), response: fields, clientExtensionResults: {} };
}

async function add(form) {
  const options = await post(form.dataset.options, form.dataset.token, {});
  options.challenge = toOctets(options.challenge);
  options.user.id = toOctets(options.user.id);
  for (const known of options.excludeCredentials || []) known.id = toOctets(known.id);
  const made = await navigator.credentials.create({ publicKey: options });
  form.elements.answer.value = JSON.stringify(told(made));
  form.submit();
}

async function signIn(box) {
  const options = await post(box.dataset.options, box.dataset.token, {});
  options.challenge = toOctets(options.challenge);
  const found = await navigator.credentials.get({ publicKey: options });
  const answer = await post(box.dataset.answer, box.dataset.token, told(found));
  if (answer.refused) throw new Error(answer.refused);
  location.assign(answer.next);
}

for (const part of document.querySelectorAll("[data-passkey]")) {
  const isForm = part.dataset.passkey === "add";
  if (!window.PublicKeyCredential) {
    part.querySelector(".error").textContent = "Passkeys need an https address and a browser that knows them.";
    continue;
  }
  part.hidden = false;
  const begin = (event) => {
    event.preventDefault();
    part.querySelector(".error").textContent = "";
    (isForm ? add : signIn)(part).catch((error) => {
      part.querySelector(".error").textContent = error.name === "NotAllowedError" ? "No passkey was used." : error.message;
    });
  };
  if (isForm) part.addEventListener("submit", begin);
  else part.querySelector("button").addEventListener("click", begin);
}
