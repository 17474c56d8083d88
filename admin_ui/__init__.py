"""The panel: Flask over `mailstack.management`, server-made pages, one package for each noun.

    app.py            `create_app(panel)`: the one place that knows all nouns
    wsgi.py           `app` for a process of its own; `mailstack serve` makes its own one
    core/             what the nouns share: who acts, running acts, forms, paging, words for times and sizes, headers
    NOUN/views.py     thin: a form, one act or question of `management/NOUN`, a template
    NOUN/forms.py     what can be typed
    templates/NOUN/   list, show, edit …; `macros.html` has fields, bars, tables and times
    static/           one style sheet and one script; Bootstrap comes from the package Bootstrap-Flask

Every view says whom it is for (`core/access`), every form carries a CSRF token, and no page has inline script or style:
the Content-Security-Policy forbids it.
"""
