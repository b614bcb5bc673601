// The login form: sends JSON, as Wok's page does, and goes to the front page with the cookie.

const form = document.getElementById("login");
const trouble = document.getElementById("trouble");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  trouble.textContent = "";
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    const { error } = await answer.json();
    trouble.textContent = error;
    form.elements.password.select();
  } catch {
    trouble.textContent = "The door does not answer. Is the demo still running?";
  } finally {
    button.disabled = false;
  }
});
