// The page of Nasqueron's notifications. The test publishes into a real RabbitMQ what this script asks for, one line
// at a time: `send KEY BODY`, `stop` and `start` (the door). `--pictures DIRECTORY` keeps screenshots.

import { createInterface } from 'node:readline';
import { browse, must, open, options, run, until } from './chromium.mjs';

const { url, certificate, pictures } = options('pictures');
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(line) {
  console.log(line);
  const { value } = await answers.next();
  must(value === 'ok', `${line}: ${value}`);
}

const notification = (project, group, text, link) => ask(`send ${project.toLowerCase()}.${group}.jenkins.completed.success ${JSON.stringify({
  service: 'Jenkins', project, group, rawContent: { secret: 'the whole webhook' }, type: 'completed.success', text, link,
})}`);

const rows = (page) => page.$$eval('#feed > li:not([hidden]):not(.gap)', (all) => all.map((each) => each.textContent));
const shows = (page, text) => until(`the page to show ${text}`, async () => (await rows(page)).some((each) => each.includes(text)));
const live = (page) => page.waitForSelector('#state[data-state=open]');

await run(async () => {
  await browse({ certificate }, async (context) => {
    await notification('Nasqueron', 'ci', 'from before', null);
    const page = await open(context, `${url}/events/nasqueron`);
    await live(page);
    await shows(page, 'from before');
    await notification('Nasqueron', 'ci', 'Jenkins job asgard has been completed: success', 'http://localhost:8080/job/asgard/18/');
    await notification('Wikimedia', '', '<img src=x onerror=alert(1)>', 'javascript:alert(1)');
    await shows(page, '<img src=x');
    const [newest, second] = await rows(page);
    must(/^\[\d\d:\d\d:\d\d\] <Wikimedia> <img src=x onerror=alert\(1\)>$/.test(newest), `newest: ${newest}`);
    must(/^\[\d\d:\d\d:\d\d\] <Nasqueron\/ci> Jenkins job asgard has been completed: success - http:\/\/localhost:8080\/job\/asgard\/18\/$/.test(second), `second: ${second}`);
    const links = await page.$$eval('#feed a', (all) => all.map((each) => each.href));
    must(links.length === 1 && links[0] === 'http://localhost:8080/job/asgard/18/', `links: ${links}`);
    await notification('Nasqueron', 'docker', null, 'https://hub.docker.com/');
    await shows(page, 'Jenkins completed.success - https://hub.docker.com/');

    await page.keyboard.press('j');
    await page.keyboard.press('j');
    must(await page.evaluate(() => document.activeElement === document.querySelectorAll('#feed > li')[1]), 'j did not move');
    await page.keyboard.press('Escape');
    await page.selectOption('#project', 'Nasqueron');
    must((await rows(page)).every((each) => each.includes('<Nasqueron')), 'the filter lets others through');
    await notification('Wikimedia', 'core', 'hidden by the filter', null);
    await notification('Nasqueron', 'ci', 'shown by the filter', null);
    await shows(page, 'shown by the filter');
    must(!(await rows(page)).some((each) => each.includes('hidden by')), 'the filter lets others through');
    await page.keyboard.press('/');
    await page.keyboard.type('asgard');
    must((await rows(page)).length === 1, 'the words do not filter');
    await page.keyboard.press('Escape');
    must((await rows(page)).length === 6, 'Escape does not clear');
    if (pictures) {
      await page.screenshot({ path: `${pictures}/nasqueron-light.png` });
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.screenshot({ path: `${pictures}/nasqueron-dark.png` });
    }

    // As after a night: no connection, messages meanwhile, and the page goes on by itself.
    await context.setOffline(true);
    await page.evaluate(() => { source.close(); tell('retrying', 'asleep'); last = 0; });
    await notification('Nasqueron', 'ci', 'while it slept', null);
    await context.setOffline(false);
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await live(page);
    await shows(page, 'while it slept');
    const all = await rows(page);
    must(new Set(all).size === all.length && all.length === 7, `something came twice or is missing: ${all}`);
    const html = await page.content();
    must(!html.includes('the whole webhook'), 'rawContent reached the page');
    const problems = page.problems.filter((each) => !each.includes('ERR_INTERNET_DISCONNECTED'));
    must(problems.length === 0, problems.join('\n'));
  });
  return 'nasqueron=ok';
});
