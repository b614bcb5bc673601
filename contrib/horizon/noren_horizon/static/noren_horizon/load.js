// The part of the plugin that is in the dashboard's own bundle. It only loads the rest, which is apart from the bundle
// and passes no minifier: nothing in there can break the dashboard.

(function () {
  var script = document.createElement('script');
  script.src = horizon.conf.static_url + 'noren_horizon/live_tables.js';
  script.defer = true;
  document.head.appendChild(script);
}());
