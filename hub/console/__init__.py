"""The console: what operators see and agencies use, as pages without a build step.

A page is a value of `hub.console.pages`: its path, a function that gives what it shows as JSON values, and a template. The
values alone are the page's `.json` twin. What a page does is an action: a form that is posted, calls the same object as the
API does, and leads back to a page.
"""
