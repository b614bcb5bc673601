# Copy this file into openstack_dashboard/local/enabled, then collect and compress the static files.
# Settings are in the dictionary NOREN of local_settings.py; the README of the plugin has them.

FEATURE = "noren"
ADD_INSTALLED_APPS = ["noren_horizon"]
ADD_JS_FILES = ["noren_horizon/load.js"]
ADD_SCSS_FILES = ["noren_horizon/live_tables.scss"]
