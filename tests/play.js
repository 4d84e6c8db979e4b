// Plays the game as a person does, letter by letter, and leaves what it saw in the page's title.
addEventListener('load', async () => {
  const $ = id => document.getElementById(id), wait = ms => new Promise(done => setTimeout(done, ms));
  const seen = [], told = () => $('sentence').textContent.trim();
  const shown = id => $(id).getClientRects().length > 0 && getComputedStyle($(id)).visibility !== 'hidden';
  const number = id => Number($(id).textContent.replace(/[^0-9.]/g, '') || 0);
  const type = async (text, composing) => {
    if (composing) $('input').dispatchEvent(new CompositionEvent('compositionstart', {bubbles: true}));
    for (const letter of text) {
      $('input').value += letter;
      const how = {bubbles: true, data: letter, isComposing: composing, inputType: 'insertText'};
      $('input').dispatchEvent(new InputEvent('input', how));
      await wait(20);
    }
    if (composing) {
      $('input').dispatchEvent(new CompositionEvent('compositionend', {bubbles: true, data: text}));
      $('input').dispatchEvent(new InputEvent('input', {bubbles: true, data: text, inputType: 'insertCompositionText'}));
    }
    await wait(900);
  };
  try {
    $('start').click();
    await wait(300);
    const first = told(), bar = () => $('bar').getBoundingClientRect().width || parseFloat($('bar').value || 0);
    seen.push(['focus', document.activeElement === $('input')], ['over hidden', !shown('over')]);
    await type(first, false);
    seen.push(['score rises', number('score') > 0], ['next sentence', told() !== first], ['speed', number('speed') > 0]);
    const score = number('score');
    await type(told(), true);
    seen.push(['composed text counts', number('score') > score]);
    for (let second = 0; second < 120 && !shown('over'); second++) await wait(1000);
    seen.push(['time runs out', shown('over')], ['best kept', number('best') >= score]);
    document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
    await wait(500);
    if (shown('over')) { $('start').click(); await wait(500); }
    seen.push(['starts again', !shown('over')]);
    $('language').click();
    await wait(500);
    const other = told();
    seen.push(['another language', /[\u4e00-\u9fff]/.test(other) !== /[\u4e00-\u9fff]/.test(first)]);
  } catch (error) { seen.push([String(error), false]); }
  document.title = 'played ' + JSON.stringify(seen);
});
