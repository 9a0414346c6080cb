// The line on top says where the run stands; where the page would differ it is loaded anew, at the same place.
"use strict";
(() => {
  const line = document.getElementById("live");
  const look = async () => {
    try {
      const state = await (await fetch("state", {cache: "no-store"})).json();
      if (state.version !== line.dataset.version) {
        location.reload();
        return;
      }
      line.textContent = state.words;
    } catch {
      line.textContent = "semiseg watch does not answer any more; start it again to go on looking.";
    }
    setTimeout(look, 3000);
  };
  setTimeout(look, 3000);
})();
