"""`admin_ui.wsgi:app`, for a WSGI server of its own beside the mail host: the same config, the same database.

The config is found as the command line finds it (`MAILSTACK_CONFIG` or the default places).
"""

import os
from pathlib import Path

from admin_ui.app import create_app
from admin_ui.core.panel import Panel
from mailstack.config_file import find_config, load_config
from mailstack.store.content import ContentStore
from mailstack.store.database import Database

_config = load_config(find_config(None, os.environ), os.environ)
app = create_app(
    Panel(
        Database.open(_config.database, _config.data),
        ContentStore(Path(_config.content), _config.inline_content),
        _config,
    )
)
